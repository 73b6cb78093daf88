// expect: ok
// stdout: { a: 1 }
// result: done
// The console's formatter is made for the first time where the stack is almost used up.
(function f() { try { f(); } catch { try { console.log({ a: 1 }); } catch {} } })();
console.log({ a: 1 });
'done';
