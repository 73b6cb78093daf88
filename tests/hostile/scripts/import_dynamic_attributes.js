// expect: error
await import('x', { with: { type: 'json', get a() { throw new Error('attribute'); } } });
