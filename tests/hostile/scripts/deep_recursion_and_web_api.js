// expect: ok
// result: http://a/
// A built-in that is loaded by its first use, which fails there, must work later.
(function f() { try { f(); } catch { try { URL; TextEncoder; atob('%'); } catch {} } })();
new URL('http://a').href;
