// expect: ok
// result: [true,true]
// What the console throws is an error of the script's own realm: no way into the formatter's.
const own = [];
try { console.table([1], 6); } catch (e) { own.push(e instanceof TypeError); }
try { console.table([1], { get length() { return null.x; } }); } catch (e) { own.push(e instanceof TypeError); }
own;
