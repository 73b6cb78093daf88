// expect: ok
// result: 1
if (true) return 1;
while (true);
