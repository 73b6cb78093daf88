// expect: error
// message: just text
// line: 4
await 0; throw 'just text';
