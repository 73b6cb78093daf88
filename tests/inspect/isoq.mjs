// One `isoq run --inspect` and a client on it. Whatever waits has a deadline, and whatever was started is ended by the
// object that started it.
import {spawn} from 'node:child_process';
import {mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, writeFileSync} from 'node:fs';
import net from 'node:net';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import CDP from 'chrome-remote-interface';

export const PATIENCE_MS = Number(process.env.PATIENCE_MS ?? 60000);
const program = join(process.env.ISOQ_TEST_BIN_DIR, 'isoq');

// The promise, or an error that says what was waited for.
export function within(promise, what) {
  let timer;
  const late = new Promise((resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`waited in vain for ${what}`)), PATIENCE_MS);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// Asks again until the answer is true.
export async function until(question, what) {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const answer = await question();
    if (answer) return answer;
    if (Date.now() > deadline) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export class Run {
  constructor(code, ...options) {
    this.folder = mkdtempSync(join(tmpdir(), 'isoq-inspect-'));
    writeFileSync(join(this.folder, 'script.js'), code);
    const environment = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('ISOQ_')));
    this.child = spawn(program, ['run', join(this.folder, 'script.js'), ...options],
      {stdio: ['ignore', 'pipe', 'pipe'], env: environment});
    this.stdout = this.stderr = '';
    this.child.stdout.on('data', (data) => { this.stdout += data; });
    this.child.stderr.on('data', (data) => { this.stderr += data; });
    this.closed = new Promise((resolve) => this.child.on('close', (code, signal) => resolve(code ?? signal)));
  }

  async listening() {
    const said = () => this.stderr.match(/^Debugger listening on ws:\/\/127\.0\.0\.1:(\d+)(\/[0-9a-f-]{36})$/m);
    const match = await until(() => this.child.exitCode !== null || said(), 'the address of the debugger');
    if (match === true) throw new Error(`isoq ended: ${this.stderr}`);
    [this.port, this.path] = [Number(match[1]), match[2]];
    return this;
  }

  ended() {
    return within(this.closed, 'the end of isoq run');
  }

  // Processor time of isoq's executor, in hundredths of a second; 0 where there is none yet.
  executorTicks() {
    const executor = readFileSync(`/proc/${this.child.pid}/task/${this.child.pid}/children`, 'utf8').trim().split(' ')[0];
    if (executor === '') return 0;
    const fields = readFileSync(`/proc/${executor}/stat`, 'utf8').split(') ')[1].split(' ');
    return Number(fields[11]) + Number(fields[12]);
  }

  // The addresses on which isoq listens, by TCP. (The executor has no descriptor but its socket to isoq.)
  listeningSockets() {
    const folder = `/proc/${this.child.pid}/fd`;
    const inodes = new Set(readdirSync(folder).map((fd) => readlinkSync(join(folder, fd)).match(/^socket:\[(\d+)\]$/)?.[1]));
    return ['tcp', 'tcp6'].flatMap((kind) => readFileSync(`/proc/${this.child.pid}/net/${kind}`, 'utf8').trim().split('\n')
      .slice(1).map((line) => line.trim().split(/\s+/)).filter((row) => row[3] === '0A' && inodes.has(row[9]))
      .map((row) => row[1]));
  }

  async stop() {
    if (this.child.exitCode === null && this.child.signalCode === null) this.child.kill('SIGKILL');
    await this.closed;
    rmSync(this.folder, {recursive: true});
  }
}

// chrome-remote-interface, and the events that came.
export class Client {
  static async attach(run) {
    const client = new Client();
    client.cdp = await within(CDP({host: '127.0.0.1', port: run.port, local: true}), 'the WebSocket');
    client.events = [];
    client.waiters = [];
    client.cdp.on('event', (event) => {
      client.events.push(event);
      client.look();
    });
    client.disconnected = new Promise((resolve) => client.cdp._ws.on('close', (code, why) => resolve({code, why: String(why)})));
    return client;
  }

  send(method, params) {
    return within(this.cdp.send(method, params), `the answer to ${method}`);
  }

  look() {
    this.waiters = this.waiters.filter(({matches, resolve}) => {
      const at = this.events.findIndex(matches);
      if (at < 0) return true;
      resolve(this.events.splice(at, 1)[0].params);
      return false;
    });
  }

  // The first event of this name that nobody has taken.
  event(method, matches = () => true) {
    const promise = new Promise((resolve) => {
      this.waiters.push({matches: (event) => event.method === method && matches(event.params), resolve});
    });
    this.look();
    return within(promise, method);
  }

  // As a front-end does when it opens; the script then stops at its first statement.
  async start() {
    await this.send('Runtime.enable');
    await this.send('Debugger.enable');
    await this.send('Runtime.runIfWaitingForDebugger');
    return this.event('Debugger.paused');
  }

  // Sends, and gives the next pause.
  async go(method) {
    await this.send(`Debugger.${method}`);
    return this.event('Debugger.paused');
  }

  async evaluate(expression, paused) {
    const {result, exceptionDetails} = await (paused
      ? this.send('Debugger.evaluateOnCallFrame', {callFrameId: paused.callFrames[0].callFrameId, expression})
      : this.send('Runtime.evaluate', {expression}));
    if (exceptionDetails) throw new Error(exceptionDetails.exception.description);
    return result.value;
  }

  async locals(paused) {
    const scope = paused.callFrames[0].scopeChain.find(({type}) => type === 'local');
    const {result} = await this.send('Runtime.getProperties', {objectId: scope.object.objectId, ownProperties: true});
    return Object.fromEntries(result.map(({name, value}) => [name, value.value]));
  }

  close() {
    return within(this.cdp.close(), 'the end of the WebSocket');
  }
}

export const line = (paused) => paused.callFrames[0].location.lineNumber + 1;

// Sends text on a socket and gives all that comes back, until the server closes it or `enough` has come.
export function raw(port, text, enough = (got) => got.includes('\r\n\r\n')) {
  return within(new Promise((resolve, reject) => {
    let got = '';
    const socket = net.connect(port, '127.0.0.1', () => socket.write(text));
    socket.on('data', (data) => {
      got += data;
      if (!enough(got)) return;
      resolve(got);
      socket.destroy();
    });
    socket.on('close', () => resolve(got));
    socket.on('error', reject);
  }), 'an answer');
}
