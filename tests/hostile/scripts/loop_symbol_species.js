// expect: timeout
// job: {"timeout_ms": 150}
class Slow extends Array { static get [Symbol.species]() { for (;;); } }
new Slow(1, 2, 3).map((x) => x);
