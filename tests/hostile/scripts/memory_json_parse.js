// expect: oom
// job: {"timeout_ms": 20000}
JSON.parse('[' + '[],'.repeat(4e6) + '1]').length;
