// expect: ok
// job: {"timeout_ms": 10000}
// Clean: the next job comes to the same executor. finds_nothing.js looks.
Intl.NumberFormat = class { format() { return 'left'; } };
Number.prototype.toLocaleString = Date.prototype.toLocaleString = () => 'left';
Intl.DateTimeFormat.prototype.format = null;
'left';
