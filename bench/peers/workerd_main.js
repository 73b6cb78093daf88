// Runs in workerd: the body of each request is a module, which is loaded as a worker of its own and asked once.
export default {
  async fetch(request, env) {
    const worker = env.LOADER.load({
      compatibilityDate: '2025-10-01',
      mainModule: 'job.js',
      modules: {'job.js': await request.text()},
      globalOutbound: null,
    });
    return worker.getEntrypoint().fetch('http://job/');
  },
};
