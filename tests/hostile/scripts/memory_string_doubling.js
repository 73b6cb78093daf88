// expect: oom|error
// job: {"timeout_ms": 20000}
let text = 'x';
for (;;) { text += text; text.charCodeAt(text.length >> 1); text.indexOf('y'); }
