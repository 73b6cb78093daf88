// expect: ok|error
typeof JSON.rawJSON === 'function' ? [JSON.rawJSON('1e1000')] : [];
