// Bundles what isoq runs inside its isolates into dist/*.js, which CMake embeds.
//
// Every bundle is a classic script whose completion value is a function: the C++ side runs the script in the right
// realm, calls the function once with the object `natives`, and takes what it returns.

import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import path from 'node:path';
import * as esbuild from 'esbuild';

const root = path.dirname(fileURLToPath(import.meta.url));
const source = (name) => path.join(root, 'src', name);
const inPackage = (name) => new RegExp(`[\\\\/]node_modules[\\\\/]${name.replaceAll('/', '[\\\\/]')}$`);

// The job's own globals are out of bounds for these two: they are what a job's first use of `TextDecoder` or `URL` is
// waiting for, so looking one of them up again would never end, and a job may have put anything there.
const jobRealm = {
  define: {
    globalThis: 'noGlobals',
    TextEncoder: 'noGlobals.TextEncoder',
    TextDecoder: 'noGlobals.TextDecoder',
    SharedArrayBuffer: 'sharedArrayBuffer',
  },
  prologue: 'const noGlobals = { __proto__: null };' +
    'const sharedArrayBuffer = typeof SharedArrayBuffer === "undefined" ? ArrayBuffer : SharedArrayBuffer;',
};

const bundles = [
  { name: 'inspect' },
  { name: 'text', ...jobRealm, instead: [['@exodus/bytes/multi-byte.js', 'multibyte_lazy.js'],
    ['./fallback/multi-byte.js', 'multibyte_lazy.js', /encoding\.js$/]] },
  { name: 'multibyte', ...jobRealm },
  { name: 'url', ...jobRealm, instead: [['tr46', 'idna_lazy.js'], ['@exodus/bytes/encoding.js', 'empty.js'],
    ['./encoding', 'utf8.js', /whatwg-url/]] },
  { name: 'idna', ...jobRealm },
  { name: 'errors' },
];

// Places in packages that no option reaches. Each text must be there exactly once, or the build stops: after an update
// of the package somebody has to look again.
const patches = [
  {
    file: inPackage('node-inspect-extracted/dist/inspect.js'),
    before: () => `const isoq = require(${JSON.stringify(source('inspect_host.js'))});`,
    replace: [
      // The emulations of internalBinding('util'), internal/util/types, internal/util and internal/url. That these
      // are their numbers, the lines after this one say.
      ['const e={};return function n(r){', 'const e={727:{exports:isoq.modules.binding},499:{exports:isoq.modules.types},' +
        '101:{exports:isoq.modules.util},812:{exports:isoq.modules.url}};return function n(r){'],
      ['getExternalValue:Te,Proxy:Me}=n(727)'],
      ['isBooleanObject:pn,isBigIntObject:yn}=n(499)'],
      ['removeColors:De}=n(101)'],
      ['Pn=Pn||n(812),Pn.pathToFileURL'],
      // Reads `href` of every object, getters included.
      ['"string"==typeof t.href&&t instanceof Pn.URL', 'false'],
      // A custom inspect function gets this realm's `inspect`.
      ['return n}(t,r),Nn);if(i!==l)', 'return n}(t,r),isoq.plainInspect(Nn));if(i!==l)'],
      // These would run what the job has put on its prototypes.
      ['null!==c?e:Wt(e)', 'isoq.setView(e)'],
      ['null!==c?e:Z(e)', 'isoq.mapView(e)'],
      ['m=C(mr,null,n,s)', 'm=C(mr,null,isoq.typedArrayView(n),s)'],
      ['nr(t,e[r],n,o)', 'nr(t,isoq.internalSlot(e,r),n,o)'],
      ['d=Bt(null!==c?e:new Lt(e))', 'd=isoq.regExpText(e)'],
      ['"],0===e.length&&0===l.length&&!t.showHidden', '"],0===s&&0===l.length&&!t.showHidden'],
      ['ht(t).name;', 'isoq.ownName(ht(t));'],
      // The package's tables know few emoji; Node asks ICU.
      ['t(e)?r+=2:Fr(e)||r++', 'r+=isoq.columns(n,t(e))'],
      // The package follows Node's main branch; until Node 22 symbol keys stand in brackets, and a proxy looks like
      // its target.
      ['s=t.stylize(e,"symbol")}', 's=i.enumerable===false?t.stylize(e,"symbol"):`[${t.stylize(e,"symbol")}]`}'],
      ['if(0!==s)for(let e=0;e<s;e++)u=', 'if(false)for(let e=0;e<s;e++)u='],
      ['for(let n=0;n<s;n++)e=', 'if(false)for(let n=0;n<s;n++)e='],
    ],
  },
  {
    // V8 10.2 has neither String.prototype.toWellFormed nor resizable buffers.
    file: inPackage('webidl-conversions/lib/index.js'),
    before: () => 'const toWellFormed = (s) => s.toWellFormed === undefined ? ' +
      's.replace(/\\p{Surrogate}/gu, "\\ufffd") : s.toWellFormed();',
    replace: [
      ['return exports.DOMString(value, options).toWellFormed();', 'return toWellFormed(exports.DOMString(value, options));'],
      ['(ArrayBuffer.prototype, "resizable").get', '(ArrayBuffer.prototype, "resizable")?.get'],
      ['(SharedArrayBuffer.prototype, "growable").get', '(SharedArrayBuffer.prototype, "growable")?.get'],
    ],
  },
];

function patched(file, text, { before, replace }) {
  for (const [from, to = from] of replace) {
    const found = text.split(from).length - 1;
    if (found !== 1) {
      throw new Error(`${path.relative(root, file)}: found ${found} times, expected once: ${from}\n` +
        'The package has changed. Compare it with the version in package-lock.json and adapt `patches` in build.mjs.');
    }
    text = text.replace(from, () => to);
  }
  return before() + text;
}

const patching = {
  name: 'patch',
  setup(build) {
    for (const patch of patches) {
      build.onLoad({ filter: patch.file }, async ({ path: file }) => (
        { contents: patched(file, await readFile(file, 'utf8'), patch), loader: 'js' }));
    }
  },
};

function substituting(list) {
  return {
    name: 'substitute',
    setup(build) {
      for (const [from, to, importer = /node_modules/] of list) {
        build.onResolve({ filter: new RegExp(`^${from.replaceAll('.', '\\.')}$`) }, (args) => (
          importer.test(args.importer) ? { path: source(to) } : undefined));
      }
    },
  };
}

async function bundle({ name, define = {}, prologue = '', instead = [] }) {
  const outfile = path.join(root, 'dist', `${name}.js`);
  const { metafile } = await esbuild.build({
    absWorkingDir: root,
    entryPoints: [source(`${name}.js`)],
    outfile,
    bundle: true,
    format: 'iife',
    globalName: 'bundle',
    platform: 'neutral',
    mainFields: ['main'],
    target: 'es2022',
    charset: 'ascii',
    minifyWhitespace: true,
    minifySyntax: true,
    legalComments: 'none',
    define,
    banner: { js: `(function (natives) { "use strict"; ${prologue}` },
    footer: { js: 'return bundle.default; })' },
    plugins: [substituting(instead), patching],
    metafile: true,
    logLevel: 'warning',
  });
  const { size } = await stat(outfile);
  console.log(`dist/${name}.js ${size} bytes`);
  return Object.values(metafile.outputs).flatMap(({ inputs }) =>
    Object.entries(inputs).filter(([, { bytesInOutput }]) => bytesInOutput > 0).map(([input]) => input));
}

const licenseFiles = ['LICENSE', 'LICENSE.md', 'LICENSE.txt', 'LICENSE-MIT.txt'];

async function licenseOf(name) {
  const folder = path.join(root, 'node_modules', name);
  const { version, license } = JSON.parse(await readFile(path.join(folder, 'package.json'), 'utf8'));
  for (const file of licenseFiles) {
    const text = await readFile(path.join(folder, file), 'utf8').catch(() => undefined);
    if (text !== undefined) return `${name} ${version} (${license})\n\n${text.trim()}\n`;
  }
  throw new Error(`${name}: no license text (looked for ${licenseFiles.join(', ')})`);
}

async function writeLicenses(inputs) {
  const names = inputs.map((input) => /node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(input)?.[1]).filter(Boolean);
  const texts = await Promise.all([...new Set(names)].sort().map(licenseOf));
  await writeFile(path.join(root, 'dist', 'THIRD_PARTY_LICENSES'), texts.join(`\n${'-'.repeat(80)}\n\n`));
}

await rm(path.join(root, 'dist'), { recursive: true, force: true });
await mkdir(path.join(root, 'dist'), { recursive: true });
const inputs = [];
for (const each of bundles) inputs.push(...await bundle(each));
await writeLicenses(inputs);
