// expect: error|timeout
// job: {"timeout_ms": 150}
await import({ toString() { for (;;); } });
