// expect: ok
// result_type: bigint
await 0;
10n ** 20000n;
