// expect: ok
// result: 9
class Mine extends Promise { then() { throw 1; } }
Mine.resolve(9);
