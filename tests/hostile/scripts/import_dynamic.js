// expect: error
await import('node:fs');
