// expect: timeout
// job: {"timeout_ms": 150}
Promise.reject({ get message() { for (;;); } });
