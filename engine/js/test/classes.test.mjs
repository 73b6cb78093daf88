// dist/text.js, url.js and errors.js in a realm that has nothing but JavaScript's own built-ins.

import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import util from 'node:util';
import vm from 'node:vm';
import { bareContext, formatter, inspectNatives, jobRealm, load, nodeMajor } from './support.mjs';

function realm(...bundles) {
  const job = jobRealm();
  for (const name of bundles) job.install(name);
  return job;
}

const plain = (value) => JSON.parse(JSON.stringify(value));

describe('every bundle', () => {
  const lazy = ['TextEncoder', 'TextDecoder', 'URL', 'URLSearchParams', 'DOMException', 'Buffer', 'process', 'Deno', 'self', 'window'];

  for (const name of ['text', 'multibyte', 'url', 'idna', 'errors']) {
    it(`${name} looks up no global that it provides, or that is not JavaScript`, () => {
      const context = bareContext();
      context.natives = { load: (other) => load(other, context, context.natives) };
      for (const key of lazy) {
        Object.defineProperty(context, key, { get() { throw new Error(`looked up ${key}`); } });
      }
      const made = load(name, context, context.natives);
      if (made.URL) assert.equal(new made.URL('http://\u00fc.de/?a b').href, 'http://xn--tda.de/?a%20b');
      if (made.TextDecoder) assert.equal(new made.TextDecoder('gbk').decode(Uint8Array.of(0xc4, 0xe3)), '\u4f60');
    });

    it(`${name} adds nothing to the global object`, () => {
      const context = bareContext();
      const before = vm.runInContext('Reflect.ownKeys(globalThis).length', context);
      load(name, context, { load() { throw new Error('not now'); } });
      assert.equal(vm.runInContext('Reflect.ownKeys(globalThis).length', context), before);
    });
  }

  it('makes no code from strings', () => {
    for (const name of ['text', 'multibyte', 'url', 'idna', 'errors', 'inspect']) {
      const context = vm.createContext({}, { codeGeneration: { strings: false, wasm: false } });
      const natives = { load: (other) => load(other, context, natives) };
      load(name, context, name === 'inspect' ? inspectNatives() : natives);
    }
  });
});

describe('URL', () => {
  const { run } = realm('url');

  // [input, base, href or null for "invalid"], after web-platform-tests url/resources/urltestdata.json.
  const HREFS = [
    ['http://example.org/', undefined, 'http://example.org/'], ['x', 'https://a/b', 'https://a/x'], ['../x', 'https://a/b/c/d', 'https://a/b/x'],
    ['http://user:pass@foo:21/bar;par?b#c', 'http://example.org/foo/bar', 'http://user:pass@foo:21/bar;par?b#c'], ['https://test:@test', undefined, 'https://test@test/'], ['http:foo.com', 'http://example.org/foo/bar', 'http://example.org/foo/foo.com'],
    ['\t   :foo.com   \n', 'http://example.org/foo/bar', 'http://example.org/foo/:foo.com'], [' foo.com  ', 'http://example.org/foo/bar', 'http://example.org/foo/foo.com'], ['a:\t foo.com', 'http://example.org/foo/bar', 'a: foo.com'],
    ['http://f:21/ b ? d # e ', 'http://example.org/foo/bar', 'http://f:21/%20b%20?%20d%20#%20e'], ['http://f:c/b', undefined, null], ['http://f: /c', undefined, null], ['http://f:0/c', undefined, 'http://f:0/c'], ['http://f:00000000000080/c', undefined, 'http://f/c'],
    ['http://f:65536/c', undefined, null], ['', 'http://example.org/foo/bar', 'http://example.org/foo/bar'], ['::23', 'http://example.org/foo/bar', 'http://example.org/foo/::23'], ['//', 'http://example.org/foo/bar', null], ['///foo/bar', undefined, null],
    ['http://[1::2]:3:4', 'http://example.org/foo/bar', null], ['http://[::127.0.0.1]', undefined, 'http://[::7f00:1]/'], ['http://[www.google.com]/', undefined, null], ['http://192.0x00A80001', undefined, 'http://192.168.0.1/'], ['http://256', undefined, 'http://0.0.1.0/'],
    ['http://1.2.3.4.5', undefined, null], ['file:///C:/demo', undefined, 'file:///C:/demo'], ['file:..', 'file:///C:/a/b', 'file:///C:/'], ['/', 'file://h/C:/a/b', 'file://h/C:/'], ['mailto:x@y.z', undefined, 'mailto:x@y.z'], ['data:text/plain,hi there', undefined, 'data:text/plain,hi there'],
    ['http://GOO\u200b\u2060\ufeffgoo.com', undefined, 'http://googoo.com/'], ['http://\uff27\uff4f.com', undefined, 'http://go.com/'], ['http://\u4f60\u597d\u4f60\u597d', undefined, 'http://xn--6qqa088eba/'], ['http://fa\u00df.ExAmPlE/', undefined, 'http://xn--fa-hia.example/'],
    ['http://xn--/', undefined, null], ['http://XN--tda.de', undefined, 'http://xn--tda.de/'], ['http://a.XN--a', undefined, null], ['http://\u00ad/', undefined, null], ['http://a%C3%BCb/', undefined, 'http://xn--ab-xka/'], ['http://a b/', undefined, null], ['http://a<b', undefined, null], ['https://EXAMPLE.com/../x', undefined, 'https://example.com/x'],
    ['http://h/\ud800\udc00\ud800', undefined, 'http://h/%F0%90%80%80%EF%BF%BD'], ['http://h/?\u00fc&"<>', undefined, 'http://h/?%C3%BC&%22%3C%3E'], ['http://h/#\u00fc `', undefined, 'http://h/#%C3%BC%20%60'], ['non-special://h:99999/', undefined, null], ['non-special://[::1]/x y', undefined, 'non-special://[::1]/x%20y'],
    ['javascript:alert(1)', undefined, 'javascript:alert(1)'], ['blob:https://example.com:443/', undefined, 'blob:https://example.com:443/'], ['https:/\\host\\p', undefined, 'https://host/p'], ['http://a/%2e%2E/b', undefined, 'http://a/b'], ['no scheme', undefined, null],
  ];

  for (const [input, base, href] of HREFS) {
    it(`parses ${JSON.stringify(input)}`, () => {
      const parse = run('(input, base) => { try { return new URL(input, base).href } catch (e) { return e instanceof TypeError ? null : e } }');
      assert.equal(parse(input, base), href);
    });
  }

  it('looks like the browser\'s', () => {
    assert.equal(run('URL.name'), 'URL');
    assert.equal(run('URLSearchParams.name'), 'URLSearchParams');
    assert.equal(run('Object.prototype.toString.call(new URL("a:b"))'), '[object URL]');
    assert.equal(run('Object.prototype.toString.call(new URLSearchParams())'), '[object URLSearchParams]');
    assert.equal(run('String(new URL("http://a"))'), 'http://a/');
    assert.equal(run('JSON.stringify({ u: new URL("http://a") })'), '{"u":"http://a/"}');
    assert.deepEqual(plain(run('Object.keys(new URL("http://a"))')), []);
    assert.equal(run('URL.canParse("x")'), false);
    assert.equal(run('URL.canParse("x", "http://a")'), true);
    assert.equal(run('Object.keys(URL.prototype).includes("href")'), true);
    assert.equal(run('class Mine extends URL {}; new Mine("http://a") instanceof URL'), true);
    assert.equal(run('try { URL("http://a") } catch (e) { e instanceof TypeError }'), true);
    assert.equal(run('const o = new URL("https://u:p@h:8/p?q#f"); o.origin + o.port + o.username'), 'https://h:88u');
  });

  it('changes with its setters and its searchParams', () => {
    assert.equal(run(`const u = new URL('https://a/b?c=1#d'); u.searchParams.append('e', 'f g'); u.port = '8080';
      u.hostname = 'b\\u00fccher.de'; u.hash = ''; u.protocol = 'http'; u.pathname = '/x y'; u.href`),
    'http://xn--bcher-kva.de:8080/x%20y?c=1&e=f+g');
  });

  it('has URLSearchParams', () => {
    assert.deepEqual(plain(run('[...new URLSearchParams("a=1&b=2&a=%C3%BC+x")]')), [['a', '1'], ['b', '2'], ['a', '\u00fc x']]);
    assert.equal(run('new URLSearchParams({ a: "1 2", "b&": "\\u00fc" }).toString()'), 'a=1+2&b%26=%C3%BC');
    assert.equal(run('new URLSearchParams([["x", "1"], ["y", "2"]]).toString()'), 'x=1&y=2');
    assert.equal(run('new URLSearchParams(new Map([["m", "1"]])).get("m")'), '1');
    assert.equal(run('const s = new URLSearchParams("c=3&a=1"); s.sort(); s.delete("c"); s.set("z", 1); `${s} ${s.size} ${s.has("a", "1")}`'), 'a=1&z=1 2 true');
    assert.deepEqual(plain(run('const l = []; new URLSearchParams("a=1").forEach((v, k) => l.push(k, v)); l')), ['a', '1']);
    assert.equal(run('new URLSearchParams({ a: "\\ud800" }).toString()'), 'a=%EF%BF%BD');
    assert.equal(run('new URLSearchParams("\\ufeffa=%FF").toString()'), '%EF%BB%BFa=%EF%BF%BD');
  });
});

describe('TextEncoder and TextDecoder', () => {
  const { run } = realm('text');
  const decoded = (label, bytes, options = '{}', more = '') => run(
    `{ const d = new TextDecoder(${JSON.stringify(label)}, ${options}); d.decode(Uint8Array.of(${bytes})${more}) }`);

  it('encode UTF-8', () => {
    assert.deepEqual(plain(run('Array.from(new TextEncoder().encode("a\\u00fc\\u20ac\\u{1f600}\\ud800"))')),
      [0x61, 0xc3, 0xbc, 0xe2, 0x82, 0xac, 0xf0, 0x9f, 0x98, 0x80, 0xef, 0xbf, 0xbd]);
    assert.equal(run('new TextEncoder().encode() instanceof Uint8Array && new TextEncoder().encode().length'), 0);
    assert.deepEqual(plain(run('(() => { const u = new Uint8Array(4); return { r: new TextEncoder().encodeInto("a\\u20acb", u), u: [...u] } })()')),
      { r: { read: 2, written: 4 }, u: [0x61, 0xe2, 0x82, 0xac] });
    assert.equal(run('new TextEncoder().encoding'), 'utf-8');
  });

  it('decode UTF-8', () => {
    assert.equal(decoded('utf-8', [0xe2, 0x82, 0xac]), '\u20ac');
    assert.equal(decoded('utf8', [0xef, 0xbb, 0xbf, 0x61]), 'a');
    assert.equal(decoded('utf8', [0xef, 0xbb, 0xbf, 0x61], '{ ignoreBOM: true }'), '\ufeffa');
    assert.equal(decoded('utf-8', [0xc0, 0x80, 0xf0, 0x9f, 0x98]), '\ufffd\ufffd\ufffd');
    assert.equal(decoded('utf-8', [0xed, 0xa0, 0x80]), '\ufffd\ufffd\ufffd');
    assert.throws(() => decoded('utf-8', [0xff], '{ fatal: true }'), { name: 'TypeError' });
    assert.equal(run('const d = new TextDecoder(); [[0xe2], [0x82], [0xac]].map((b) => d.decode(Uint8Array.from(b), { stream: true })).join("|") + d.decode()'), '||\u20ac');
    assert.equal(run('new TextDecoder().decode(new Uint8Array([97, 98, 99]).buffer)'), 'abc');
    assert.equal(run('new TextDecoder().decode(new DataView(new Uint8Array([97, 98, 99]).buffer, 1))'), 'bc');
    assert.equal(run('new TextDecoder().decode()'), '');
  });

  it('survive a round trip of every scalar value', () => {
    assert.equal(run(`(() => { let s = ''; for (let c = 0; c < 0x110000; c++) if (c < 0xd800 || c > 0xdfff) s += String.fromCodePoint(c);
      return new TextDecoder('utf-8', { ignoreBOM: true, fatal: true }).decode(new TextEncoder().encode(s)) === s })()`), true);
  });

  it('decode the other encodings', () => {
    assert.equal(decoded('utf-16le', [0x3d, 0xd8, 0x00, 0xde]), '\u{1f600}');
    assert.equal(decoded('utf-16be', [0x00, 0x61]), 'a');
    assert.equal(decoded('latin1', [0x80, 0xe9]), '\u20ac\u00e9');
    assert.equal(decoded('windows-1251', [0xcf]), '\u041f');
    assert.equal(decoded('gbk', [0xc4, 0xe3, 0xba, 0xc3]), '\u4f60\u597d');
    assert.equal(decoded('big5', [0xa7, 0x41]), '\u4f60');
    assert.equal(decoded('shift_jis', [0x82, 0xa0]), '\u3042');
    assert.equal(decoded('euc-kr', [0xb0, 0xa1]), '\uac00');
    assert.equal(decoded(' ASCII\n', [0x61]), 'a');
    assert.equal(run('new TextDecoder("ascii").encoding'), 'windows-1252');
    assert.throws(() => decoded('nonsense', []), { name: 'RangeError' });
  });

  it('look like the browser\'s', () => {
    assert.equal(run('TextDecoder.name + TextEncoder.name'), 'TextDecoderTextEncoder');
    assert.equal(run('Object.prototype.toString.call(new TextDecoder()) + new TextEncoder()'), '[object TextDecoder][object TextEncoder]');
    assert.deepEqual(plain(run('(({ encoding, fatal, ignoreBOM }) => [encoding, fatal, ignoreBOM])(new TextDecoder("utf-8", { fatal: true }))')), ['utf-8', true, false]);
  });
});

describe('DOMException', () => {
  const { run } = realm('errors');

  it('has the members of the standard', () => {
    assert.deepEqual(plain(run('const e = new DOMException("m", "DataCloneError"); [e.name, e.message, e.code, String(e), e instanceof Error, DOMException.DATA_CLONE_ERR]')),
      ['DataCloneError', 'm', 25, 'DataCloneError: m', true, 25]);
    assert.deepEqual(plain(run('const d = new DOMException(); [d.name, d.message, d.code]')), ['Error', '', 0]);
    assert.equal(run('new DOMException("m", { name: "AbortError", cause: 5 }).cause'), 5);
    assert.deepEqual(plain(run('Reflect.ownKeys(DOMException).filter((k) => /_ERR$/.test(String(k))).sort()')),
      Object.getOwnPropertyNames(DOMException).filter((k) => /_ERR$/.test(k)).sort());
    assert.deepEqual(plain(run('Object.keys(new DOMException("m"))')), []);
    assert.match(run('new DOMException("m", "AbortError").stack'), /^AbortError: m\n +at job\.js/);
  });
});

describe('console.log', () => {
  const job = realm('url', 'text', 'errors');
  const inspect = formatter(job);
  const ours = (code) => inspect.format(job.run(`[${code}]`));
  const nodes = (code) => util.formatWithOptions({}, ...vm.runInThisContext('(0, eval)')(`[${code}]`));

  for (const code of ['new URL("http://u:p@a:81/b?x=1#h")', '[new URL("http://a")]', '{ a: { b: { c: new URL("http://a") } } }', '{ a: { b: new URL("http://a") } }', 'new URLSearchParams("a=1&b=2")',
    'new URLSearchParams()', 'new URLSearchParams("a=" + "x".repeat(90))', 'new URLSearchParams("a=1&b=2").keys()', 'new URLSearchParams("a=1").entries()', 'URLSearchParams', 'TextDecoder', 'TextEncoder',
    'new TextDecoder("latin1", { fatal: true })', '"%s", new URL("http://a/")', '"%s", new URLSearchParams("a=1")']) {
    it(`prints ${code} as Node does`, (t) => {
      if (nodeMajor < 20) return t.skip('older Node');
      return assert.equal(ours(code), nodes(code));
    });
  }

  it('prints a DOMException as Node does', () => {
    assert.match(ours('new DOMException("m", "DataCloneError")'), /^DOMException \[DataCloneError\]: m\n +at job\.js/);
  });
});
