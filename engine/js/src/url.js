// URL and URLSearchParams for the job's realm, from whatwg-url, printed by the console as Node prints its own.

import { URL, URLSearchParams } from 'whatwg-url';
import { iterInternalSymbol } from 'whatwg-url/lib/utils.js';
import { defineHidden, inspectSymbol, setClassName } from './webidl.js';

setClassName(URL, 'URL');
setClassName(URLSearchParams, 'URLSearchParams');

const shownOfUrl = ['href', 'origin', 'protocol', 'username', 'password', 'host', 'hostname', 'port', 'pathname',
  'search', 'searchParams', 'hash'];

function className(object, fallback) {
  const { constructor } = object;
  return typeof constructor === 'function' && constructor.name ? constructor.name : fallback;
}

function innerOptions(depth, options) {
  return depth === null ? { ...options } : { ...options, depth: depth - 1 };
}

defineHidden(URL.prototype, inspectSymbol, function (depth, options, inspect) {
  if (typeof depth === 'number' && depth < 0) return this;
  const shown = {};
  for (const key of shownOfUrl) shown[key] = this[key];
  return `${className(this, 'URL')} ${inspect(shown, options)}`;
});

defineHidden(URLSearchParams.prototype, inspectSymbol, function (depth, options, inspect) {
  if (typeof depth === 'number' && depth < 0) return '[Object]';
  const inner = innerOptions(depth, options);
  const pairs = [...this].map(([key, value]) => `${inspect(key, inner)} => ${inspect(value, inner)}`);
  const name = className(this, 'URLSearchParams');
  if (pairs.length === 0) return `${name} {}`;
  const line = pairs.join(', ');
  return line.length > options.breakLength ? `${name} {\n  ${pairs.join(',\n  ')} }` : `${name} { ${line} }`;
});

defineHidden(Object.getPrototypeOf(new URLSearchParams().entries()), inspectSymbol, function (depth, options, inspect) {
  if (typeof depth === 'number' && depth < 0) return '[Object]';
  const { target, kind, index } = this[iterInternalSymbol];
  const inner = innerOptions(depth, options);
  const rest = [...target].slice(index).map((pair) => ({ key: pair[0], value: pair[1], 'key+value': pair }[kind]));
  const parts = rest.map((part) => inspect(part, inner));
  const text = inspect(rest, inner).includes('\n') ? `\n  ${parts.join(',\n  ')}` : ` ${parts.join(', ')}`;
  return `URLSearchParams Iterator {${text} }`;
});

export default { URL, URLSearchParams };
