// expect: ok
// stdout: %s 100% % [ NaN NaN
console.log('%s');
console.log('%s 100%% % [ %d %i', '%s', 'x', Symbol('y'), -0);
console.log('%c%o%O%j%f', 'color: red', [1], { a: 1 }, { get x() { return 1; } }, '1.50');
console.log('%'.repeat(1e5), 1);
'done';
