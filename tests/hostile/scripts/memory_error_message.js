// expect: error|oom
// A message of 5 MB is cut, not refused.
// error: Error
throw new Error('x'.repeat(5e6));
