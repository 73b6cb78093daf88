// expect: ok
// stdout: �x {
console.log('\ud800x', { '\udc00': '\ud800' });
'done';
