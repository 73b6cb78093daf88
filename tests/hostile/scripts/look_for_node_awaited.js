// expect: ok
// result: []
// The inspector's command line API must not be there either.
await 0;
['$_', '$0', 'copy', 'dir', 'keys', 'values', 'inspect', 'queryObjects', 'debug', 'undebug', 'monitor', 'table', 'clear',
  'queryObjects', 'profile'].filter((name) => { try { eval(name); return true; } catch { return false; } });
