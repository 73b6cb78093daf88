import {readFileSync} from 'node:fs';

// The times of single jobs; printed as one line of JSON, which is what bench/samples.h prints.
export class Samples {
  #times = [];
  #began = performance.now();
  #last = this.#began;
  #cpu_ms;
  #cpu_before;

  // `cpu_ms`: a function, the processor time until now of what is measured.
  constructor(cpu_ms) {
    this.#cpu_ms = cpu_ms;
    this.#cpu_before = cpu_ms?.();
  }

  add() {
    const now = performance.now();
    this.#times.push(now - this.#last);
    this.#last = now;
  }

  // What is between the last add() and now belongs to no job.
  resume() {
    this.#last = performance.now();
  }

  wantMore(seconds, atLeast) {
    return this.#times.length < atLeast || performance.now() - this.#began < seconds * 1000;
  }

  print() {
    const cpu_ms = this.#cpu_ms && (this.#cpu_ms() - this.#cpu_before) / this.#times.length;
    const sorted = this.#times.sort((a, b) => a - b);
    const last = sorted.length - 1;
    console.log(JSON.stringify({
      jobs: sorted.length,
      seconds: (this.#last - this.#began) / 1000,
      p50_ms: sorted[Math.floor(last / 2)],
      p99_ms: sorted[Math.floor(0.99 * last)],
      cpu_ms,
    }));
  }
}

export function ownCpu() {
  const {user, system} = process.cpuUsage();
  return (user + system) / 1000;
}

// Of another process, from /proc: in the kernel's ticks of 10 ms.
export function cpuOf(pid) {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ').at(-1).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

export function expect(found, expected) {
  if (found !== expected) throw new Error(`expected ${expected}, found ${found}`);
}
