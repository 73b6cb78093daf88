// expect: ok
// result: {"__proto__":{"x":1},"a":1}
JSON.parse('{"__proto__": {"x": 1}, "a": 1}');
