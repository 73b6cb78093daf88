// node --no-node-snapshot engine_isolated_vm.mjs sync|async CODE_FILE EXPECTED SECONDS JOBS_AT_LEAST
import {readFileSync} from 'node:fs';
import {run, runSync} from './isolate.mjs';
import {Samples, expect, ownCpu} from './samples.mjs';

const [mode, file, expected, seconds, atLeast] = process.argv.slice(2);
const code = readFileSync(file, 'utf8');
const once = mode === 'sync' ? runSync : run;
for (let i = 0; i < 5; i++) expect(await once(code), expected);
const samples = new Samples(ownCpu);
while (samples.wantMore(Number(seconds), Number(atLeast))) {
  expect(await once(code), expected);
  samples.add();
}
samples.print();
