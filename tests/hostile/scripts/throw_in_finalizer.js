// expect: ok
// result: done
new FinalizationRegistry(() => { throw new Error('late'); }).register({}, 1);
for (let i = 0; i < 20; i++) new Array(2 ** 16).fill(i);
await null;
'done';
