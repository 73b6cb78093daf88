// expect: timeout
// job: {"timeout_ms": 150}
const bytes = new Uint8Array(32 * 2 ** 20);
for (;;) bytes.indexOf(1);
