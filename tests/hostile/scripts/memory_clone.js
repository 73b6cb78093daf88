// expect: oom
// stderr: over memory_mb 64
structuredClone(new Uint8Array(40 * 2 ** 20));
