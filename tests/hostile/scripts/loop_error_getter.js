// expect: timeout
// job: {"timeout_ms": 150}
throw { get name() { for (;;); } };
