// expect: ok
// job: {"timeout_ms": 3000}
const a = Array.from({ length: 1000 }, (_, i) => i ^ 5);
a.sort((x, y) => { a.length = 0; a.push({}, 1.5, 'x'); return x - y; });
const t = new Float64Array(new ArrayBuffer(8000, { maxByteLength: 16000 }));
t.sort((x, y) => { try { t.buffer.resize(0); } catch {} return 0; });
a.length >= 0;
