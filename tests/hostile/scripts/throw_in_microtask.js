// expect: error
// message: in a microtask
queueMicrotask(() => { throw new Error('in a microtask'); });
'ignored';
