// The times of single jobs; printed as one line of JSON, which is what bench/samples.h prints.
export class Samples {
  #times = [];
  #began = performance.now();
  #last = this.#began;

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
    const sorted = this.#times.sort((a, b) => a - b);
    const last = sorted.length - 1;
    console.log(JSON.stringify({
      jobs: sorted.length,
      seconds: (this.#last - this.#began) / 1000,
      p50_ms: sorted[Math.floor(last / 2)],
      p99_ms: sorted[Math.floor(0.99 * last)],
    }));
  }
}

export function expect(found, expected) {
  if (found !== expected) throw new Error(`expected ${expected}, found ${found}`);
}
