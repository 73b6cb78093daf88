// Stands in for whatwg-url's lib/encoding.js, which wants the global TextEncoder and TextDecoder.

export { utf8fromStringLoose as utf8Encode, utf8toStringLoose as utf8DecodeWithoutBOM } from '@exodus/bytes/utf8.js';
