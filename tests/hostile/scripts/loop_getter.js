// expect: timeout
// job: {"timeout_ms": 150}
({ get x() { for (;;); } }).x;
