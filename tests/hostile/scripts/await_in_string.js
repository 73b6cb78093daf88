// expect: ok
// result: await
'await';
