// expect: ok
// result: �|2|3
const odd = new TextDecoder().decode(new Uint8Array([0xff]));
const into = new TextEncoder().encodeInto('\u20ac\ud800', new Uint8Array(4)).written === 3;
let threw = 0;
for (const f of [() => new TextDecoder('no-such'), () => new TextDecoder('utf-8', { fatal: true }).decode(new Uint8Array([0xff])), () => TextEncoder()])
  try { f(); } catch { threw++; }
[odd, into ? 2 : 0, threw].join('|');
