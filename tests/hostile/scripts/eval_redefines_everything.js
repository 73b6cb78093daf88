// expect: ok
// result: 2
eval('var eval = 1, undefined, NaN; function console() {}');
2;
