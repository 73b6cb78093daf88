// expect: ok
// stdout: 'it\'s"`'
// result: x
for (const name of ['replace', 'slice', 'split', 'includes', 'indexOf', 'charCodeAt', 'padEnd', 'repeat', 'toString'])
  String.prototype[name] = () => 'pwned';
console.log('%o', "it's" + '"`');
console.log('done');
'x';
