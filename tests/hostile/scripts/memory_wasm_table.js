// expect: oom|error
// job: {"timeout_ms": 20000}
const table = new WebAssembly.Table({ element: 'anyfunc', initial: 1 });
for (;;) table.grow(100000);
