// expect: ok
// result: 1
1;
//# sourceMappingURL=http://127.0.0.1:1/steal.map
