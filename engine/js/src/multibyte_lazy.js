// Stands in for @exodus/bytes/multi-byte.js in the bundle "text": the real one is loaded when it is first needed.

/* global natives */

export function createMultibyteDecoder(encoding, loose) {
  return natives.load('multibyte').createMultibyteDecoder(encoding, loose);
}

// Encoding to a legacy encoding is no part of TextEncoder.
export const multibyteEncoder = undefined;
