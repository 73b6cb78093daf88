// expect: ok
// result: []
['require', 'process', 'module', 'exports', 'Buffer', 'global', '__dirname', '__filename', 'setImmediate', 'fetch',
  'XMLHttpRequest', 'WebSocket', 'Deno', 'Bun', 'd8', 'load', 'read', 'print', 'quit', 'gc', 'importScripts', 'Worker',
  'SharedWorker', 'navigator', 'window', 'self', 'document', 'inspect', '$_', '$0', 'copy', 'queryObjects', 'monitorEvents']
  .filter((name) => name in globalThis);
