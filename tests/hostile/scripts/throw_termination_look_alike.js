// expect: error
// message: Script execution was terminated
throw new Error('Script execution was terminated.');
