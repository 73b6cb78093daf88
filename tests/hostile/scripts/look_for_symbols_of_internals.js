// expect: ok
// result: 0
Object.getOwnPropertySymbols(globalThis).filter((s) => s !== Symbol.toStringTag).length;
