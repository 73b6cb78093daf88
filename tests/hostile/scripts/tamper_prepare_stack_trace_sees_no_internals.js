// expect: ok
// result: []
// Call sites of frames that are not the script's give away neither functions nor receivers.
const found = [];
Error.prepareStackTrace = (e, sites) => sites;
const look = () => {
  for (const site of new Error().stack)
    if (!String(site.getFileName()).startsWith('job.js'))
      for (const thing of [site.getFunction(), site.getThis()]) if (thing !== undefined && thing !== null) found.push(String(thing));
};
console.log('%s', { toString() { look(); return ''; } });
console.log({ [Symbol.for('nodejs.util.inspect.custom')]() { look(); return ''; } });
console.log({ constructor: class { static [Symbol.hasInstance]() { look(); return false; } } });
console.table([{ get a() { look(); return 1; } }]);
new URL({ toString() { look(); return 'http://a'; } });
found;
