// expect: ok
// job: {"timeout_ms": 5000}
const buffer = new ArrayBuffer(8, { maxByteLength: 16 }), view = new Uint8Array(buffer, 4), tracking = new Float64Array(buffer);
buffer.resize(2);
console.log(buffer, view, tracking);
const moved = structuredClone(buffer, { transfer: [buffer] });
console.log(buffer, view, moved);
crypto.getRandomValues(view);
'done';
