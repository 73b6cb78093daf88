// expect: timeout|oom
// job: {"timeout_ms": 200}
let rope = 'x';
for (;;) { rope = rope.length < 2 ** 22 ? 'a' + rope + 'b' : 'x'; rope === rope.slice(1) + 'x'; }
