// Loads the bundles as the executor does: a formatting realm and a job's realm, natives between them.
//
// The natives are Node's own C++ functions, reached with `node --expose-internals`.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { types } from 'node:util';
import vm from 'node:vm';

const { internalBinding } = createRequire(import.meta.url)('internal/test/binding');
const binding = internalBinding('util');

export const nodeMajor = Number(process.versions.node.split('.')[0]);

// CMake builds in a copy of this folder, and says where.
const dist = process.env.ISOQ_TEST_JS_DIST ?? fileURLToPath(new URL('../dist', import.meta.url));
const read = (name) => readFileSync(`${dist}/${name}.js`, 'latin1');

export function load(name, context, natives) {
  return new vm.Script(read(name), { filename: `${name}.js` }).runInContext(context)(natives);
}

export const bareContext = () => vm.createContext({ __proto__: null });

export function inspectNatives(job) {
  return {
    ...types,
    getConstructorName: binding.getConstructorName,
    getOwnNonIndexProperties: binding.getOwnNonIndexProperties,
    getPromiseDetails: binding.getPromiseDetails,
    getProxyDetails: (value, both = true) => binding.getProxyDetails(value, both),
    // Node's own tells two arguments from one by their number.
    previewEntries: (value, isIterator) => (isIterator ? binding.previewEntries(value, true) : binding.previewEntries(value)),
    toJobError: (error) => error,
    errorPrototype: job && vm.runInContext('Error.prototype', job),
  };
}

// A job's realm, with the lazy classes in place; `globals` may add to it.
export function jobRealm() {
  const context = bareContext();
  const loaded = {};
  const natives = {
    load: (name) => (loaded[name] ??= load(name, context, natives)),
  };
  return {
    context,
    natives,
    run: (code) => new vm.Script(code, { filename: 'job.js' }).runInContext(context),
    install(name) {
      const made = natives.load(name);
      for (const key of Object.keys(made)) {
        Object.defineProperty(vm.runInContext('globalThis', context), key,
          { value: made[key], writable: true, enumerable: false, configurable: true });
      }
      return made;
    },
  };
}

export function formatter(job) {
  return load('inspect', bareContext(), inspectNatives(job?.context));
}

export const runHere = (code) => new vm.Script(code, { filename: 'job.js' }).runInThisContext();
