// expect: timeout
// job: {"timeout_ms": 150}
`${{ toString() { for (;;); } }}`;
