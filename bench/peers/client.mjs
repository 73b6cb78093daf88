// The producer, the same for both queues: node, ioredis, one connection for what it sends.
//
//   node client.mjs KIND stage   REDIS_SOCKET CODE_FILE FIRST COUNT    puts jobs aside, says "staged"; lets the
//                                       worker see all of them when a line comes on standard input, and says "gone"
//   node client.mjs KIND latency REDIS_SOCKET CODE_FILE FIRST COUNT EXPECTED SECONDS   one job in
//                                       flight; fewer than COUNT jobs when the time is over
//
// KIND: isoq, bullmq; or isoq-other, whose jobs have another script each: the same, with a comment of its own.
// A job's latency is the time from sending it until its result's text is there. Jobs are named FIRST, FIRST + 1, ….
import {readFileSync} from 'node:fs';
import {once} from 'node:events';
import Redis from 'ioredis';
import {Samples, expect} from './samples.mjs';

const WARM_UP = 10;
const AT_LEAST = 20;
const PART = 500;
const [kind, deed, path, file, first, count, expected, seconds] = process.argv.slice(2);
const code = readFileSync(file, 'utf8');
const names = Array.from({length: Number(count)}, (_, i) => `job${Number(first) + i}`);
const connection = new Redis({path, maxRetriesPerRequest: null});

class Isoq {
  #job = (id) => JSON.stringify({id, code: kind === 'isoq-other' ? `${code}//${id}` : code});

  async stage() {
    for (let i = 0; i < names.length; i += PART)
      await connection.lpush('bench:staged', ...names.slice(i, i + PART).map(this.#job));
  }

  async go() {
    await connection.rename('bench:staged', 'isoq:{default}:jobs');
  }

  async run(id) {
    await connection.lpush('isoq:{default}:jobs', this.#job(id));
    const [, text] = await connection.blpop(`isoq:{default}:reply:${id}`, 60);
    const result = JSON.parse(text);
    if (!result.success) throw new Error(text);
    return result.result;
  }

  async close() {}
}

class Bull {
  async open() {
    const {Queue, QueueEvents} = await import('bullmq');
    // Waiting for a job that is removed as soon as it is done fails where the job is the faster one ("Missing key").
    const defaultJobOptions = {removeOnComplete: deed === 'latency' ? {count: 100} : true, removeOnFail: 1000};
    this.queue = new Queue('bench', {connection, defaultJobOptions});
    if (deed !== 'latency') return;
    this.events_connection = new Redis({path, maxRetriesPerRequest: null});
    this.events = new QueueEvents('bench', {connection: this.events_connection});
    await this.events.waitUntilReady();
  }

  async stage() {
    await this.queue.pause();
    for (let i = 0; i < names.length; i += PART)
      await this.queue.addBulk(names.slice(i, i + PART).map((jobId) => ({name: 'job', data: {code}, opts: {jobId}})));
  }

  async go() {
    await this.queue.resume();
  }

  async run(jobId) {
    const job = await this.queue.add('job', {code}, {jobId});
    return await job.waitUntilFinished(this.events, 60_000);
  }

  async close() {
    await this.events?.close();
    await this.queue.close();
    this.events_connection?.disconnect();
  }
}

const queue = kind === 'bullmq' ? new Bull() : new Isoq();
await queue.open?.();
if (deed === 'stage') {
  await queue.stage();
  console.log('staged');
  await once(process.stdin, 'data');
  await queue.go();
  console.log('gone');
  process.stdin.destroy();
} else {
  for (const name of names.slice(0, WARM_UP)) expect(await queue.run(`warm${name}`), expected);
  const samples = new Samples();
  for (const name of names) {
    if (!samples.wantMore(Number(seconds), AT_LEAST)) break;
    samples.resume();
    const result = await queue.run(name);
    samples.add();
    expect(result, expected);
  }
  samples.print();
}
await queue.close();
connection.disconnect();
