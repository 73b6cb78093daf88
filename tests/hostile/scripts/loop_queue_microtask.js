// expect: timeout
// job: {"timeout_ms": 150}
(function again() { queueMicrotask(again); })();
