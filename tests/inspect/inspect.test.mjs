// isoq run --inspect, seen by DevTools clients that nobody here wrote: chrome-remote-interface and `node inspect`.
import assert from 'node:assert/strict';
import {spawn} from 'node:child_process';
import {existsSync, mkdtempSync, readFileSync, rmSync} from 'node:fs';
import net from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {test} from 'node:test';
import CDP from 'chrome-remote-interface';
import {Client, line, raw, Run, until, within} from './isoq.mjs';

const total = `const list = [1, 2, 3];
function total(values) {
  let sum = 0;
  for (const value of values) {
    sum += value;
  }
  console.log('the sum is', sum, {values});
  return sum;
}
total(list) * 2
`;

const forever = 'let turns = 0;\nfor (;;) turns++;\n'; // V8 cannot pause in a loop without a statement

// A test with a run of its own, which ends with it.
function inspected(name, code, options, body) {
  test(name, async (t) => {
    const run = new Run(code, '--inspect=0', ...options);
    t.after(() => run.stop());
    await body(await run.listening());
  });
}

inspected('a breakpoint, steps, a local variable, an expression, the console, and the result', total, ['--id', 'job-7'],
  async (run) => {
    const client = await Client.attach(run);
    await client.send('Runtime.enable');
    const {context} = await client.event('Runtime.executionContextCreated');
    assert.equal(context.name, 'job-7');
    const {breakpointId} = await client.send('Debugger.enable').then(() =>
      client.send('Debugger.setBreakpointByUrl', {url: 'job.js', lineNumber: 4}));
    await client.send('Runtime.runIfWaitingForDebugger');

    let paused = await client.event('Debugger.paused');
    assert.equal(paused.reason, 'Break on start');
    assert.equal(line(paused), 1);
    const script = await client.event('Debugger.scriptParsed', ({url}) => url === 'job.js');
    const {scriptSource} = await client.send('Debugger.getScriptSource', {scriptId: script.scriptId});
    assert.equal(scriptSource, total);

    paused = await client.go('resume');
    assert.deepEqual(paused.hitBreakpoints, [breakpointId]);
    assert.equal(paused.callFrames[0].functionName, 'total');
    assert.equal(line(paused), 5);
    assert.equal((await client.locals(paused)).sum, 0);
    paused = await client.go('stepOver');
    assert.equal(line(paused), 4);
    assert.equal((await client.locals(paused)).sum, 1);
    assert.equal(await client.evaluate('sum * 100 + values.length', paused), 103);
    paused = await client.go('resume');
    assert.equal(await client.evaluate('value', paused), 2);
    await client.evaluate('sum = 10', paused);

    await client.send('Debugger.removeBreakpoint', {breakpointId});
    await client.send('Debugger.resume');
    const {type, args, stackTrace} = await client.event('Runtime.consoleAPICalled');
    assert.equal(type, 'log');
    assert.deepEqual(args.slice(0, 2).map(({value}) => value), ['the sum is', 15]);
    assert.equal(args[2].preview.properties[0].value, 'Array(3)');
    assert.equal(stackTrace.callFrames[0].lineNumber, 6);
    await client.event('Runtime.executionContextDestroyed');
    assert.deepEqual(await within(client.disconnected, 'the close frame'), {code: 1001, why: 'the job is over'});
    assert.equal(await run.ended(), 0);
    assert.equal(run.stdout, 'the sum is 15 { values: [ 1, 2, 3 ] }\n30\n');
  });

inspected('a script with await stops at its first statement, at breakpoints behind the await, and keeps its value',
  `const before = 1;
await new Promise((resolve) => setTimeout(resolve, 5));
const after = before + 1;
after * 21
`, [], async (run) => {
    const client = await Client.attach(run);
    let paused = await client.start();
    assert.equal(line(paused), 1);
    assert.equal(paused.reason, 'Break on start');
    // A promise of the client's is not taken for the script's own.
    await client.evaluate('Promise.resolve(1), 2', paused);
    await client.send('Debugger.setBreakpointByUrl', {url: 'job.js', lineNumber: 2});
    paused = await client.go('resume');
    assert.equal(line(paused), 3);
    assert.equal(await client.evaluate('before', paused), 1);
    await client.send('Debugger.resume');
    assert.equal(await run.ended(), 0);
    assert.equal(run.stdout, '42\n');
  });

for (const [what, code] of [['return', 'const answer = 42;\nreturn answer;\n'],
  ['return and await', 'const answer = await 42;\nreturn answer;\n']])
  inspected(`a script with ${what} stops at its own first statement`, code, [], async (run) => {
    const client = await Client.attach(run);
    let paused = await client.start();
    assert.equal(line(paused), 1);
    paused = await client.go('stepOver');
    assert.equal(line(paused), 2);
    assert.equal(await client.evaluate('answer', paused), 42);
    await client.send('Debugger.resume');
    assert.equal(await run.ended(), 0);
    assert.equal(run.stdout, '42\n');
  });

for (const [what, loop] of [['a loop', 'while (!stop) turns++;'],
  ['a loop that allocates and calls built-ins', 'while (!stop) { turns++; text = JSON.stringify({turns}).repeat(3); new Map([[text, {}]]); }'],
  ['a loop of promises', 'const turn = () => { turns++; if (!stop) Promise.resolve().then(turn); }; turn();']])
  inspected(`${what} can be paused, looked at, and let go on`,
    `globalThis.stop = false; let turns = 0, text = '';\n${loop}\n'stopped'\n`, [], async (run) => {
      const client = await Client.attach(run);
      await client.start();
      await client.send('Debugger.resume');
      assert.equal(await client.evaluate('1 + 1'), 2); // while it runs
      for (let i = 0; i < 5; i++) {
        const paused = await client.go('pause');
        const turns = await client.evaluate('turns', paused);
        await client.send('Debugger.resume');
        await until(async () => await client.evaluate('turns') > turns, 'more turns');
      }
      await client.send('Runtime.evaluate', {expression: 'stop = true'});
      assert.equal(await run.ended(), 0);
      assert.equal(run.stdout, 'stopped\n');
    });

inspected('a WebAssembly loop can be paused',
  // (module (func (export "f") (loop (br 0))))
  `new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array([0,97,115,109,1,0,0,0,1,4,1,96,0,0,3,2,1,0,7,5,1,1,
  102,0,0,10,9,1,7,0,3,64,12,0,11,11]))).exports.f()`, [], async (run) => {
    const client = await Client.attach(run);
    await client.start();
    await client.send('Debugger.resume');
    const paused = await client.go('pause');
    await client.event('Debugger.scriptParsed', ({url, scriptId}) =>
      url.startsWith('wasm://') && scriptId === paused.callFrames[0].location.scriptId);
    run.child.kill('SIGINT');
    assert.equal(await run.ended(), 130);
  });

inspected('when the client leaves in a pause, the script goes on to its end', total, [], async (run) => {
  const client = await Client.attach(run);
  await client.start();
  await client.send('Debugger.setBreakpointByUrl', {url: 'job.js', lineNumber: 4});
  await client.go('resume');
  await client.close();
  assert.equal(await run.ended(), 0);
  assert.equal(run.stdout, 'the sum is 6 { values: [ 1, 2, 3 ] }\n12\n');
});

inspected('when the client leaves in the middle of its own expression, the script goes on',
  'const timer = setInterval(() => {}, 1000);\n"idle"\n', [], async (run) => {
    const client = await Client.attach(run);
    await client.start();
    await client.send('Debugger.resume');
    // The answer never comes: the expression stops in the middle.
    client.cdp.send('Runtime.evaluate', {expression: 'clearInterval(timer);\ndebugger; 1'}, () => {});
    assert.equal(line(await client.event('Debugger.paused')), 2);
    await client.close();
    assert.equal(await run.ended(), 0);
    assert.equal(run.stdout, 'idle\n');
  });

inspected('one client leaves before the start, and the next one starts the script', total, [], async (run) => {
  const first = await Client.attach(run);
  await first.send('Runtime.enable');
  await first.close();
  const second = await Client.attach(run);
  assert.equal(line(await second.start()), 1);
  await second.send('Debugger.resume');
  assert.equal(await run.ended(), 0);
});

inspected('a second client is refused while the first is there, and may come when it has left',
  'globalThis.stop = false; while (!stop); "stopped"', [], async (run) => {
    const first = await Client.attach(run);
    await first.start();
    await first.send('Debugger.resume');
    const answer = await raw(run.port, `GET ${run.path} HTTP/1.1\r\nHost: localhost:${run.port}\r\nUpgrade: websocket\r\n` +
      'Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n',
      (got) => got.includes('one at a time'));
    assert.match(answer, /^HTTP\/1\.[01] 409 .*Another debugger is attached/s);
    assert.equal(await first.evaluate('1 + 1'), 2);
    await first.close();
    const second = await until(() => Client.attach(run).catch(() => null), 'room for the second client');
    await second.send('Runtime.evaluate', {expression: 'stop = true'});
    assert.equal(await run.ended(), 0);
  });

inspected('an error that nobody catches is shown', 'function fail() {\n  throw new TypeError("wrong");\n}\nfail()', [],
  async (run) => {
    const client = await Client.attach(run);
    await client.start();
    await client.send('Debugger.resume');
    const {exceptionDetails} = await client.event('Runtime.exceptionThrown');
    assert.match(exceptionDetails.exception.description, /^TypeError: wrong\n {4}at fail \(job\.js:2:9\)/);
    assert.equal(exceptionDetails.stackTrace.callFrames[0].functionName, 'fail');
    assert.equal(await run.ended(), 1);
  });

inspected('time limits are off', 'const end = Date.now() + 400; while (Date.now() < end); "done"',
  ['--timeout', '50', '--cpu', '50'], async (run) => {
    const client = await Client.attach(run);
    await client.start();
    await client.send('Debugger.resume');
    assert.equal(await run.ended(), 0);
    assert.equal(run.stdout, 'done\n');
  });

inspected('the memory limit stays', 'const all = []; for (;;) all.push(new Array(1000).fill(0));', ['--memory', '32'],
  async (run) => {
    const client = await Client.attach(run);
    await client.start();
    const paused = await client.go('resume');
    assert.equal(paused.reason, 'OOM'); // V8 stops there, to be looked at
    assert.ok(await client.evaluate('all.length', paused) > 100);
    client.cdp.on('Debugger.paused', () => client.cdp.send('Debugger.resume', () => {}));
    await client.send('Debugger.resume');
    assert.equal(await run.ended(), 1);
    assert.match(run.stderr, /memory: .* over memory_mb 32/);
  });

inspected('the profiler, which would start a thread, does not start', total, [], async (run) => {
  const client = await Client.attach(run);
  const paused = await client.start();
  await client.send('Profiler.enable');
  for (const method of ['start', 'startPreciseCoverage', 'stop'])
    await assert.rejects(client.send(`Profiler.${method}`), /there is no profiler here/);
  await client.send('HeapProfiler.enable');
  await client.send('HeapProfiler.takeHeapSnapshot', {reportProgress: false});
  await client.send('HeapProfiler.startSampling');
  await client.send('HeapProfiler.stopSampling');
  assert.equal(await client.evaluate('typeof profile === "function" ? profile("p") : 0; 5', paused), 5);
  await client.send('Debugger.resume');
  assert.equal(await run.ended(), 0);
});

inspected('messages that are no JSON, or no message of the protocol, are answered and do no harm', total, [],
  async (run) => {
    const client = await Client.attach(run);
    const errors = [];
    client.cdp._ws.on('message', (text) => { if (JSON.parse(text).error) errors.push(JSON.parse(text).error); });
    for (const text of ['{', '[]', '{"id":1e9,"method":7}', '"\\ud800"', '\u0000'])
      client.cdp._ws.send(text);
    await assert.rejects(client.send('Nothing.atAll'), /wasn't found/);
    assert.ok(errors.length >= 5, `${errors.length} errors`);
    await client.start();
    await client.send('Debugger.resume');
    assert.equal(await run.ended(), 0);
  });

inspected('text of all kinds goes both ways', '"\u00e4\u20ac\ud83d\ude00" + input', ['--input', '"\u00df"'], async (run) => {
  const client = await Client.attach(run);
  const paused = await client.start();
  assert.equal(await client.evaluate('"\u00fc\u4e2d\ud83d\ude80" + input', paused), '\u00fc\u4e2d\ud83d\ude80\u00df');
  const long = await client.evaluate('"x".repeat(3 << 20) + "\u20ac"', paused);
  assert.equal(long.length, (3 << 20) + 1);
  assert.equal(await client.evaluate(`${JSON.stringify('y\u20ac'.repeat(1 << 20))}.length`, paused), 2 << 20);
  await client.send('Debugger.resume');
  assert.equal(await run.ended(), 0);
  assert.equal(run.stdout, '\u00e4\u20ac\ud83d\ude00\u00df\n');
});

inspected('Runtime.terminateExecution ends the job as cancelled', forever, [], async (run) => {
  const client = await Client.attach(run);
  await client.start();
  await client.send('Debugger.resume');
  await client.send('Runtime.terminateExecution');
  await run.ended();
  assert.match(run.stderr, /stopped by the debugger/);
});

// ---- who may

inspected('pages of other sites get nothing: Host and Origin are looked at', 'for (;;);', [], async (run) => {
  const ask = (path, ...headers) =>
    raw(run.port, `GET ${path} HTTP/1.1\r\n${headers.map((header) => `${header}\r\n`).join('')}\r\n`);
  const upgrade = ['Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
    'Sec-WebSocket-Version: 13'];
  const here = `Host: 127.0.0.1:${run.port}`;

  for (const host of ['localhost', `localhost:${run.port}`, 'LOCALHOST:1', '127.0.0.1', `[::1]:${run.port}`, '[::1]'])
    assert.match(await ask('/json/version', `Host: ${host}`), /^HTTP\/1\.1 200 /, host);
  for (const host of ['evil.example', `evil.example:${run.port}`, 'localhost.evil.example', '127.0.0.1.evil.example',
    '127.0.0.1:x', '', 'localhost:1/x', `${'a'.repeat(300)}`])
    for (const path of ['/json/version', '/json', '/json/list', '/'])
      assert.match(await ask(path, `Host: ${host}`), /^HTTP\/1\.[01] 403 /, `${path} at ${host}`);
  assert.match(await ask('/json/list'), /^HTTP\/1\.[01] (400|403) /, 'no Host');
  assert.match(await ask(run.path, 'Host: evil.example', ...upgrade), /^HTTP\/1\.[01] 403 /);

  for (const origin of ['http://evil.example', 'https://evil.example', 'null', 'http://localhost.evil.example',
    'https://localhost', 'file://', 'http://127.0.0.1@evil.example', 'chrome-extension://abc', `http://${'a'.repeat(300)}`]) {
    assert.match(await ask(run.path, here, `Origin: ${origin}`, ...upgrade), /^HTTP\/1\.[01] 403 /, origin);
    assert.match(await ask('/json/list', here, `Origin: ${origin}`), /^HTTP\/1\.[01] 403 /, origin);
  }
  assert.match(await ask('/guess', here, ...upgrade), /^HTTP\/1\.[01] 404 /);
  assert.match(await ask('/json/nothing', here), /^HTTP\/1\.[01] 404 /);
  for (const origin of ['devtools://devtools', 'chrome-devtools://devtools', 'http://localhost:8080', 'http://127.0.0.1'])
    assert.match(await until(async () => {
      const answer = await ask(run.path, here, `Origin: ${origin}`, ...upgrade);
      return /^HTTP\/1\.[01] 409/.test(answer) ? null : answer; // the one before is still leaving
    }, 'its turn'), /^HTTP\/1\.1 101 /, origin);
});

inspected('/json tells what a front-end wants to know', total, ['--id', 'a.job:1'], async (run) => {
  for (const path of ['/json', '/json/list']) {
    const [target] = await (await fetch(`http://127.0.0.1:${run.port}${path}`)).json();
    assert.equal(target.title, 'a.job:1');
    assert.equal(target.type, 'node');
    assert.equal(target.webSocketDebuggerUrl, `ws://127.0.0.1:${run.port}${run.path}`);
    assert.ok(target.devtoolsFrontendUrl.endsWith(`ws=127.0.0.1:${run.port}${run.path}`));
  }
  const version = await (await fetch(`http://127.0.0.1:${run.port}/json/version`)).json();
  assert.match(version.Browser, /^isoq\//);
});

test('a port that is in use is an error that says so', async (t) => {
  const server = net.createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => server.on('listening', resolve));
  t.after(() => server.close());
  const run = new Run('1', `--inspect=${server.address().port}`);
  t.after(() => run.stop());
  assert.equal(await run.ended(), 3);
  assert.match(run.stderr, new RegExp(`port ${server.address().port} of 127.0.0.1 is in use; .*--inspect=`));
  assert.equal(run.stdout, '');
});

test('what is no port is wrong usage', async (t) => {
  for (const value of ['x', '65536', '-1', '80x', ' 1']) {
    const run = new Run('1', `--inspect=${value}`);
    t.after(() => run.stop());
    assert.equal(await run.ended(), 2, value);
    assert.match(run.stderr, /is no port/);
  }
});

test('without the flag nothing listens', async (t) => {
  const plain = new Run('for (;;);');
  t.after(() => plain.stop());
  await until(() => plain.executorTicks() > 50, 'the script, which uses more of the processor than a start');
  assert.deepEqual(plain.listeningSockets(), []);
  plain.child.kill('SIGINT');
  assert.equal(await plain.ended(), 130);

  const other = new Run('for (;;);', '--inspect=0');
  t.after(() => other.stop());
  await other.listening();
  const port = other.port.toString(16).toUpperCase().padStart(4, '0');
  assert.deepEqual(other.listeningSockets(), [`0100007F:${port}`]);
});

// ---- Ctrl-C

for (const [when, prepare] of [['before a client has come', async () => null],
  ['while a client has not started the script', async (run) => {
    const client = await Client.attach(run);
    await client.send('Runtime.enable');
    return client;
  }],
  ['in a pause', async (run) => {
    const client = await Client.attach(run);
    await client.start();
    return client;
  }],
  ['while it runs', async (run) => {
    const client = await Client.attach(run);
    await client.start();
    await client.send('Debugger.resume');
    assert.equal(await client.evaluate('1 + 1'), 2);
    return client;
  }]])
  inspected(`Ctrl-C ends it cleanly, ${when}`, forever, [], async (run) => {
    const client = await prepare(run);
    run.child.kill('SIGINT');
    if (client) assert.equal((await within(client.disconnected, 'the close frame')).code, 1001);
    assert.equal(await run.ended(), 130);
    assert.match(run.stderr, /cancelled/);
    assert.throws(() => process.kill(run.child.pid, 0), /ESRCH/);
  });

// ---- another client

inspected('node inspect sets a breakpoint, steps, reads a variable, and lets the script end', total, [], async (run) => {
  const debug = spawn(process.execPath, ['inspect', `127.0.0.1:${run.port}`], {env: {...process.env, NO_COLOR: '1'}});
  let said = '';
  debug.stdout.on('data', (data) => { said += data; });
  debug.stderr.on('data', (data) => { said += data; });
  const closed = new Promise((resolve) => debug.on('close', resolve));
  // Each answer ends with a prompt.
  const ask = async (command, expected) => {
    const from = said.length;
    debug.stdin.write(`${command}\n`);
    await until(() => expected.test(said.slice(from)), `${expected} after ${command}, in: ${said}`);
  };
  await until(() => /debug> /.test(said), 'a prompt');
  await until(() => /Break on start|job\.js:1/.test(said), `the first line, in: ${said}`);
  await ask("sb('job.js', 5)", /5|Warning/);
  await ask('cont', /break in job\.js:5/);
  await ask('next', /> 4 /);
  await ask('exec sum + values.length', /\b4\b/);
  await ask("clearBreakpoint('job.js', 5)", /debug> /);
  debug.stdin.write('cont\n');
  assert.equal(await run.ended(), 0);
  assert.equal(run.stdout, 'the sum is 6 { values: [ 1, 2, 3 ] }\n12\n');
  debug.kill();
  await within(closed, 'the end of node inspect');
});

// The front-end of DevTools itself, as Chromium serves it, in a page of a headless Chromium.
const browsers = ['chromium', 'chromium-browser', 'google-chrome'];
const browser = process.env.PATH.split(':').flatMap((folder) => browsers.map((name) => join(folder, name)))
  .find((file) => existsSync(file));

test('the DevTools page of Chromium shows the script, pauses, steps, and lets it end',
  {skip: browser ? false : 'no Chromium is installed'}, async (t) => {
    const run = new Run(total, '--inspect=0');
    t.after(() => run.stop());
    await run.listening();
    const folder = mkdtempSync(join(tmpdir(), 'isoq-chromium-'));
    const child = spawn(browser, ['--headless=new', '--no-sandbox', '--disable-gpu', '--remote-debugging-port=0',
      `--user-data-dir=${folder}`], {stdio: 'ignore', detached: true});
    const closed = new Promise((resolve) => child.on('close', resolve));
    t.after(async () => {
      process.kill(-child.pid, 'SIGKILL'); // its group, which is all of this Chromium
      await closed;
      rmSync(folder, {recursive: true, force: true, maxRetries: 10});
    });
    const port = Number(await until(() => {
      const file = join(folder, 'DevToolsActivePort');
      return existsSync(file) && readFileSync(file, 'utf8').split('\n')[0];
    }, 'Chromium'));
    const {webSocketDebuggerUrl} = await CDP.Version({host: '127.0.0.1', port});
    const chromium = await CDP({target: webSocketDebuggerUrl, local: true});
    const {targetId} = await chromium.send('Target.createTarget', {url: `http://127.0.0.1:${port}/devtools/js_app.html?` +
      `experiments=true&v8only=true&ws=127.0.0.1:${run.port}${run.path}`});
    const page = await CDP({host: '127.0.0.1', port, target: targetId, local: true});
    t.after(() => Promise.all([page.close(), chromium.close()]));
    const text = `(() => {
      const read = (node) => node.nodeType === Node.TEXT_NODE ? node.data + ' ' : /^(STYLE|SCRIPT)$/.test(node.nodeName) ? ''
        : [node.shadowRoot, ...node.childNodes].filter(Boolean).map(read).join('');
      return read(document.body).replace(/\\s+/g, ' ');
    })()`;
    const shows = (expected) => until(async () =>
      expected.test((await page.send('Runtime.evaluate', {expression: text})).result.value), `${expected} in the page`);
    const press = async (key, code) => {
      for (const type of ['keyDown', 'keyUp'])
        await page.send('Input.dispatchKeyEvent', {type, key, code: key, windowsVirtualKeyCode: code});
    };

    await shows(/Debugger paused/);
    await shows(/function total \( values \) \{ let sum = 0 ;/);
    await shows(/job\.js:1 /);
    await press('F10', 121); // step over
    await shows(/job\.js:10 /);
    await press('F8', 119); // resume
    await shows(/Debugging connection was closed/);
    assert.equal(await run.ended(), 0);
    assert.equal(run.stdout, 'the sum is 6 { values: [ 1, 2, 3 ] }\n12\n');
  });
