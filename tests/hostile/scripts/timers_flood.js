// expect: error
// error: RangeError
// message: max_timers
for (;;) setTimeout(() => {}, 1e9);
