// expect: ok
// result: 3
outer: for (var i = 0; ; i++) { for (;;) { if (i === 3) break outer; continue outer; } }
(0, eval)('var i; i');
