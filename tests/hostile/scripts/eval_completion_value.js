// expect: ok
// result: 1
1; do { 2; continue; } while (false); var x = 1; { ; } x;
