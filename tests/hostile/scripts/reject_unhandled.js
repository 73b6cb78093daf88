// expect: error
// message: nobody
// stderr: nobody
Promise.reject(new Error('nobody'));
'ignored';
