// expect: timeout|error
// job: {"timeout_ms": 150}
const it = { async *[Symbol.asyncIterator]() { try { yield 1; } finally { for (;;); } } };
for await (const x of it) break;
