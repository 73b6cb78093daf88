// node --no-node-snapshot bullmq_worker.mjs REDIS_SOCKET CONCURRENCY: serves the queue `bench` until SIGTERM.
import {Worker} from 'bullmq';
import Redis from 'ioredis';
import {run} from './isolate.mjs';

const [path, concurrency] = process.argv.slice(2);
const connection = new Redis({path, maxRetriesPerRequest: null});
const worker = new Worker('bench', (job) => run(job.data.code), {
  connection,
  concurrency: Number(concurrency),
});
worker.on('error', (error) => {
  console.error(error);
  process.exit(1);
});
worker.on('failed', (job, error) => {
  console.error(`job ${job?.id} failed:`, error);
  process.exit(1);
});
process.on('SIGTERM', async () => {
  await worker.close();
  connection.disconnect();
});
await worker.waitUntilReady();
console.log('ready');
