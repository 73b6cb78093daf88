// expect: ok
// stdout: detached
const { log } = console;
log.call(null, 'detached');
Reflect.apply(log, 5, []);
try { new log(); } catch (e) { console.log(e.name); }
