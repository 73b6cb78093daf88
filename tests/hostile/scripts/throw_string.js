// expect: error
// message: just text
// line: 4
throw 'just text';
