// expect: ok
// stdout: called
setTimeout(new Proxy(() => {}, { apply() { console.log('called'); } }));
