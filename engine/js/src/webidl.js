// What the classes made for a job's realm have in common.

export const inspectSymbol = Symbol.for('nodejs.util.inspect.custom');

export function defineHidden(object, key, value) {
  Object.defineProperty(object, key, { __proto__: null, value, writable: true, enumerable: false, configurable: true });
}

// A bundler that renames a class to keep names apart also changes what `Class.name` says.
export function setClassName(Class, name) {
  Object.defineProperty(Class, 'name', { __proto__: null, value: name, writable: false, enumerable: false, configurable: true });
}
