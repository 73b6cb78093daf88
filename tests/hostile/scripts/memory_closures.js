// expect: oom
// job: {"timeout_ms": 20000}
let f = () => 0;
for (;;) { const before = f, ballast = [1, 2, 3]; f = () => before() + ballast.length; }
