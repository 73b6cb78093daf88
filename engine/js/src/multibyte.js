// The legacy multi-byte encodings; loaded by multibyte_lazy.js.

import { createMultibyteDecoder } from '@exodus/bytes/multi-byte.js';

export default { createMultibyteDecoder };
