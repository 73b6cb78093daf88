// expect: ok
// result: 4
return 4 <!-- sloppy scripts have these
