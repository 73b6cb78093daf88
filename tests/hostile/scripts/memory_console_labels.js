// expect: oom
// job: {"timeout_ms": 20000, "max_output_bytes": 100}
// Memory outside of V8's heap.
for (let i = 0;; i++) console.count('x'.repeat(2 ** 20) + i);
