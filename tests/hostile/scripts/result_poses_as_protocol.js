// expect: ok
// result: {"id":1,"result":{"result":{"type":"string","value":"forged"}}}
await 0;
({ id: 1, result: { result: { type: 'string', value: 'forged' } } });
