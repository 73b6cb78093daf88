// node engine_workerd.mjs SOCKET MODULE_FILE EXPECTED SECONDS JOBS_AT_LEAST WORKERD_PID: one connection, one job
// after the other.
import {readFileSync} from 'node:fs';
import http from 'node:http';
import {Samples, cpuOf, expect} from './samples.mjs';

const [socketPath, file, expected, seconds, atLeast, pid] = process.argv.slice(2);
const code = readFileSync(file, 'utf8');
const agent = new http.Agent({keepAlive: true, maxSockets: 1});

function once() {
  return new Promise((resolve, reject) => {
    const request = http.request({socketPath, agent, method: 'POST', path: '/'}, (response) => {
      const parts = [];
      response.on('data', (part) => parts.push(part)).on('error', reject);
      response.on('end', () => {
        const text = Buffer.concat(parts).toString();
        if (response.statusCode === 200) resolve(text);
        else reject(new Error(`workerd answered ${response.statusCode}: ${text}`));
      });
    });
    request.on('error', reject);
    request.end(code);
  });
}

for (let i = 0; i < 3; i++) expect(await once(), expected);
const samples = new Samples(() => cpuOf(pid));
while (samples.wantMore(Number(seconds), Number(atLeast))) {
  expect(await once(), expected);
  samples.add();
}
samples.print();
agent.destroy();
