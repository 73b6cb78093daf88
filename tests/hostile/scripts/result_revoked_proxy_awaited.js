// expect: error
// error: TypeError
const { proxy, revoke } = Proxy.revocable([], {});
await 0;
revoke();
proxy;
