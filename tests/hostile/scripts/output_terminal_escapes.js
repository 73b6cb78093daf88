// expect: ok
// stdout_json: "\u001b[2J\u001b]0;title\u0007\u0000end\n"
console.log('\x1b[2J\x1b]0;title\x07\0end');
