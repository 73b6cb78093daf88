// expect: oom
// stderr: over memory_mb 64
// A module with a memory of 2000 pages of its own.
await WebAssembly.instantiate(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 5, 4, 1, 0, 0xd0, 15]));
