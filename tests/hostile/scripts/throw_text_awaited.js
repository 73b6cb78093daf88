// expect: error
// message: just text
await 0; throw 'just text';
