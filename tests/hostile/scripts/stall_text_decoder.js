// expect: timeout|oom
// job: {"timeout_ms": 200}
const decoder = new TextDecoder('gb18030'), bytes = new Uint8Array(2 ** 21).fill(0x81);
for (;;) decoder.decode(bytes);
