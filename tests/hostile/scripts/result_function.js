// expect: ok
// result_type: function
await 0;
(class { static toJSON() { return 'no'; } });
