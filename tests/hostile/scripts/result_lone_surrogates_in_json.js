// expect: ok
// result: ["\ud800"]
['\ud800'];
