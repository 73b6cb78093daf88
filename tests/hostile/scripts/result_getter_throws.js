// expect: error
// message: 5
({ get a() { throw 5; } });
