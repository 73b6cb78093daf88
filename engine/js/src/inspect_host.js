// What node-inspect-extracted gets in place of its emulation of Node's internals.
//
// The package emulates Node's C++ parts in plain JavaScript: a promise is always pending there, a proxy is run instead
// of looked through, and an Error of another realm is no error. `modules` puts our versions into the package's module
// table before it starts (build.mjs does that, and says which module has which number); the functions after it
// replace the few places where the package asks the value itself, so that a job could change the answer.

import natives from './natives.js';

const { apply } = Reflect;
const uncurry = (fn) => (self, ...args) => apply(fn, self, args);
const getter = (prototype, key) => uncurry(Object.getOwnPropertyDescriptor(prototype, key).get);

const TypedArray = Object.getPrototypeOf(Uint8Array);
const typedArrayName = getter(TypedArray.prototype, Symbol.toStringTag);
const typedArrayLength = getter(TypedArray.prototype, 'length');
const typedArrayBuffer = getter(TypedArray.prototype, 'buffer');
const typedArrayOffset = getter(TypedArray.prototype, 'byteOffset');
const isPrototypeOf = uncurry(Object.prototype.isPrototypeOf);
const setSize = getter(Set.prototype, 'size');
const setValues = uncurry(Set.prototype.values);
const mapSize = getter(Map.prototype, 'size');
const mapEntries = uncurry(Map.prototype.entries);
const replace = uncurry(String.prototype.replace);
const join = uncurry(Array.prototype.join);

const isAnyArrayBuffer = (value) => natives.isArrayBuffer(value) || natives.isSharedArrayBuffer(value);
const isBoxedPrimitive = (value) => natives.isNumberObject(value) || natives.isStringObject(value) ||
  natives.isBooleanObject(value) || natives.isBigIntObject(value) || natives.isSymbolObject(value);

// Node also counts what merely inherits from Error.prototype.
const isError = (value) => natives.isNativeError(value) ||
  (natives.errorPrototype !== undefined && isPrototypeOf(natives.errorPrototype, value));

// There is no URL in the formatting realm; the job's own class prints itself by its custom inspect function.
class NoURL {
  static [Symbol.hasInstance]() {
    return false;
  }
}

export const modules = {
  binding: {
    constants: { kPending: 0, kFulfilled: 1, kRejected: 2, ALL_PROPERTIES: 0, ONLY_ENUMERABLE: 2 },
    getOwnNonIndexProperties: natives.getOwnNonIndexProperties,
    getPromiseDetails: natives.getPromiseDetails,
    getProxyDetails: natives.getProxyDetails,
    previewEntries: natives.previewEntries,
    getConstructorName: natives.getConstructorName,
    getExternalValue: () => 0n,
    Proxy,
  },
  types: {
    isArgumentsObject: natives.isArgumentsObject,
    isArrayBuffer: natives.isArrayBuffer,
    isAsyncFunction: natives.isAsyncFunction,
    isBigIntObject: natives.isBigIntObject,
    isBooleanObject: natives.isBooleanObject,
    isDataView: natives.isDataView,
    isDate: natives.isDate,
    isExternal: natives.isExternal,
    isGeneratorFunction: natives.isGeneratorFunction,
    isMap: natives.isMap,
    isMapIterator: natives.isMapIterator,
    isModuleNamespaceObject: natives.isModuleNamespaceObject,
    isNativeError: natives.isNativeError,
    isNumberObject: natives.isNumberObject,
    isPromise: natives.isPromise,
    isRegExp: natives.isRegExp,
    isSet: natives.isSet,
    isSetIterator: natives.isSetIterator,
    isStringObject: natives.isStringObject,
    isSymbolObject: natives.isSymbolObject,
    isTypedArray: natives.isTypedArray,
    isWeakMap: natives.isWeakMap,
    isWeakSet: natives.isWeakSet,
    isAnyArrayBuffer,
    isBoxedPrimitive,
  },
  util: {
    customInspectSymbol: Symbol.for('nodejs.util.inspect.custom'),
    isError,
    join,
    removeColors: (text) => replace(text, /\u001b\[\d\d?m/g, ''),
  },
  url: { URL: NoURL, pathToFileURL: (path) => ({ href: `file://${path}` }) },
};

// A Set or Map of the job's realm, iterated and measured by this realm's functions.
export const setView = (set) => ({ __proto__: null, size: setSize(set), [Symbol.iterator]: () => setValues(set) });
export const mapView = (map) => ({ __proto__: null, size: mapSize(map), [Symbol.iterator]: () => mapEntries(map) });

// The same elements as a typed array of this realm, without a copy. (No view can be made of a detached buffer: then
// the array itself will do, it has no elements.)
export function typedArrayView(array) {
  const Class = globalThis[typedArrayName(array)];
  if (Class === undefined || typedArrayLength(array) === 0) return array;
  return new Class(typedArrayBuffer(array), typedArrayOffset(array), typedArrayLength(array));
}

const regExpSource = getter(RegExp.prototype, 'source');
const regExpFlags = [['d', 'hasIndices'], ['g', 'global'], ['i', 'ignoreCase'], ['m', 'multiline'], ['s', 'dotAll'],
  ['u', 'unicode'], ['v', 'unicodeSets'], ['y', 'sticky']]
  .filter(([, key]) => Object.hasOwn(RegExp.prototype, key))
  .map(([flag, key]) => [flag, getter(RegExp.prototype, key)]);

// What RegExp.prototype.toString gives when nobody has changed `source` and `flags`.
export const regExpText = (regExp) =>
  `/${regExpSource(regExp)}/${regExpFlags.map(([flag, has]) => (has(regExp) ? flag : '')).join('')}`;

export const ownName = (fn) => {
  const name = Object.getOwnPropertyDescriptor(fn, 'name')?.value;
  return typeof name === 'string' ? name : '';
};

const noWidth = /^(?!\u00ad)[\p{Cc}\p{Cf}\p{Me}\p{Mn}]$/u;
const emoji = /^\p{Emoji_Presentation}$/u;
const pictograph = /^[\u{1f300}-\u{1f64f}]$/u;

// The columns that a character takes in a terminal; `isWide` is what the package's own table says. Like Node's, which
// asks ICU, but for a few historic scripts.
export function columns(char, isWide) {
  if (char >= ' ' && char < '\x7f') return 1;
  if (noWidth.test(char)) return 0;
  return emoji.test(char) || (isWide && !pictograph.test(char)) ? 2 : 1;
}

const internalSlots = [
  [natives.isTypedArray, TypedArray.prototype],
  [natives.isDataView, DataView.prototype],
  [natives.isArrayBuffer, ArrayBuffer.prototype],
  [natives.isSharedArrayBuffer, typeof SharedArrayBuffer === 'undefined' ? {} : SharedArrayBuffer.prototype],
];

// `byteLength`, `buffer` and their like, which the job could have redefined on its prototypes.
export function internalSlot(value, key) {
  for (const [is, prototype] of internalSlots) {
    const descriptor = is(value) ? Object.getOwnPropertyDescriptor(prototype, key) : undefined;
    if (descriptor?.get !== undefined) return apply(descriptor.get, value, []);
  }
  return value[key];
}

let plain;

// What a custom inspect function gets as `inspect`: a function from which, as from what it throws, nothing of this
// realm can be reached.
export function plainInspect(inspect) {
  plain ??= Object.freeze(Object.assign(Object.setPrototypeOf((...args) => {
    try {
      return apply(inspect, undefined, args);
    } catch (error) {
      throw natives.toJobError(error);
    }
  }, null), { custom: modules.util.customInspectSymbol }));
  return plain;
}
