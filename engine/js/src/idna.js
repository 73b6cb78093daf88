// Internationalised domain names (UTS #46); loaded by idna_lazy.js.

import tr46 from 'tr46';

export default { toASCII: tr46.toASCII };
