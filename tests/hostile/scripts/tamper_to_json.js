// expect: ok
// result: "theirs"
// The contract says JSON.stringify, so toJSON counts, wherever it is; nothing else of the result does.
Object.prototype.toJSON = () => 'theirs';
await 0;
({ a: 1 });
