// expect: error
// error: RangeError
// A buffer was refused before, and the error that ends the job is another one with the same words.
try { new ArrayBuffer(2 ** 34); } catch {}
throw new RangeError('allocation failed: of seats on a train');
