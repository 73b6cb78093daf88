// expect: ok
// result_json: "\u2028\u2029\u007f\u001b"
'\u2028\u2029\x7f\x1b';
