// TextEncoder and TextDecoder for the job's realm, from @exodus/bytes. The tables of the legacy multi-byte encodings
// (GBK, Big5, Shift_JIS, EUC-KR and others) are most of the package and are hardly ever asked for, so they are the
// bundle "multibyte", which is loaded with the first decoder that needs it (see multibyte_lazy.js).

import { TextDecoder, TextEncoder } from '@exodus/bytes/encoding.js';
import { defineHidden, inspectSymbol, setClassName } from './webidl.js';

setClassName(TextDecoder, 'TextDecoder');
setClassName(TextEncoder, 'TextEncoder');

function inspectWith(Class, keys) {
  defineHidden(Class.prototype, inspectSymbol, function (depth, options, inspect) {
    if (typeof depth === 'number' && depth < 0) return this;
    const shown = {};
    for (const key of keys) shown[key] = this[key];
    return `${Class.name} ${inspect(shown, options)}`;
  });
}

inspectWith(TextDecoder, ['encoding', 'fatal', 'ignoreBOM']);
inspectWith(TextEncoder, ['encoding']);

export default { TextEncoder, TextDecoder };
