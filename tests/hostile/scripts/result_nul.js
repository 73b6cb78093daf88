// expect: ok
// result_json: "a\u0000b"
await 0;
'a\0b';
