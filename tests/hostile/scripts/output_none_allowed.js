// expect: error
// job: {"max_output_bytes": 0}
// stderr: Error: still said
console.log('nothing');
throw new Error('still said');
