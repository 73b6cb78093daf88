// expect: timeout
// job: {"timeout_ms": 150}
structuredClone({ get x() { for (;;); } });
