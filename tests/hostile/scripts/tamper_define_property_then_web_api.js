// expect: ok|error
// not: crashed
// The built-ins that are loaded late meet a realm that is no longer itself.
Object.defineProperty = (target) => { try { target.default = 5; } catch {} return target; };
Object.create = () => 5;
Object.prototype.hasOwnProperty = () => true;
for (const use of [() => atob('%'), () => new URL('http://a'), () => new TextDecoder('gbk'), () => structuredClone(() => {}),
  () => crypto.getRandomValues(1), () => DOMException])
  try { console.log(String(use())); } catch (e) { console.log('threw', typeof e); }
'done';
