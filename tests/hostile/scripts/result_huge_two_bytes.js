// expect: output_limit
'\u20ac'.repeat(4e6);
