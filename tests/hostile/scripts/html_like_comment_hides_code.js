// expect: ok
// result: 1
1
--> while (true);
