// expect: ok
// result: {}
// What starts when the job is over never runs.
({ toJSON() { setInterval(() => console.log('never'), 0); Promise.resolve().then(() => { for (;;); }); return {}; } });
