// isolated-vm as its documentation has it, a new isolate for each job: the one place where the benchmarks use it.
import ivm from 'isolated-vm';

const MEMORY_MB = 256;
const OPTIONS = {timeout: 30_000};

export function runSync(code) {
  const isolate = new ivm.Isolate({memoryLimit: MEMORY_MB});
  try {
    return isolate.compileScriptSync(code).runSync(isolate.createContextSync(), OPTIONS);
  } finally {
    isolate.dispose();
  }
}

// The script runs in a thread of isolated-vm's, so that several jobs can use several processors.
export async function run(code) {
  const isolate = new ivm.Isolate({memoryLimit: MEMORY_MB});
  try {
    const [context, script] = await Promise.all([isolate.createContext(), isolate.compileScript(code)]);
    return await script.run(context, OPTIONS);
  } finally {
    isolate.dispose();
  }
}
