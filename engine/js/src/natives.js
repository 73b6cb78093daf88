// The functions that the C++ side supplies to the bundle "inspect", checked once, when the bundle is loaded.
//
// Values come from another realm and from a hostile script, so what a value *is* cannot be learnt with instanceof or
// from its properties: V8 has to say it.

/* global natives */

const required = [
  'getConstructorName', 'getOwnNonIndexProperties', 'getPromiseDetails', 'getProxyDetails', 'previewEntries',
  'isArgumentsObject', 'isArrayBuffer', 'isAsyncFunction', 'isBigIntObject', 'isBooleanObject', 'isDataView', 'isDate',
  'isExternal', 'isGeneratorFunction', 'isMap', 'isMapIterator', 'isModuleNamespaceObject', 'isNativeError',
  'isNumberObject', 'isPromise', 'isRegExp', 'isSet', 'isSetIterator', 'isSharedArrayBuffer', 'isStringObject',
  'isSymbolObject', 'isTypedArray', 'isWeakMap', 'isWeakSet', 'toJobError',
];

const missing = required.filter((name) => typeof natives[name] !== 'function');
if (missing.length > 0) throw new TypeError(`inspect.js: natives lacks ${missing.join(', ')}`);

export default natives;
