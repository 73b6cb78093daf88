// expect: error|oom|timeout
// job: {"timeout_ms": 500}
await WebAssembly.compile(new Uint8Array(40 * 2 ** 20));
