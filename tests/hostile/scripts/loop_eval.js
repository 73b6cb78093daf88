// expect: timeout
// job: {"timeout_ms": 150}
eval('for (;;) new Function("return 1")();');
