// expect: error
await 0;
throw new Proxy(new Error('behind'), {});
