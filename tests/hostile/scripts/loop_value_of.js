// expect: timeout
// job: {"timeout_ms": 150}
+{ valueOf() { for (;;); } };
