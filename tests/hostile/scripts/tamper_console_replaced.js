// expect: error
// stderr: Error: reported
// stdout: real
console.log('real');
globalThis.console = { log() {}, error() {} };
console.error('hidden');
throw new Error('reported');
