// expect: ok|error
// not: crashed
JSON.parse('['.repeat(300000) + ']'.repeat(300000)).length;
