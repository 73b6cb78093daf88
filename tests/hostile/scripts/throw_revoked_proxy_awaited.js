// expect: error
const { proxy, revoke } = Proxy.revocable(function () {}, {});
revoke();
await 0;
throw proxy;
