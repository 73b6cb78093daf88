// Stands in for tr46 in the bundle "url": its tables are larger than all the rest, and most hosts are ASCII.
//
// For an ASCII domain without an "xn--" label the URL Standard's "domain to ASCII" is ASCII lowercasing (so it says
// itself, when beStrict is false, which it is for a URL's host); everything else goes to the real thing.

/* global natives */

const plain = /^(?!xn--)[\x00-\x7f]*$/i;
const inner = /\.xn--/i;

export function toASCII(domain, options) {
  if (!options.useSTD3ASCIIRules && !options.verifyDNSLength && plain.test(domain) && !inner.test(domain)) {
    return domain.toLowerCase();
  }
  return natives.load('idna').toASCII(domain, options);
}
