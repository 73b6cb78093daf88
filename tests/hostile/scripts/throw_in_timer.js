// expect: error
// error: TypeError
// line: 6
// stdout: before
setTimeout(() => { console.log('before');
  null.x; });
'ignored';
