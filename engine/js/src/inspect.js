// The text of console.log, console.dir and console.table, as Node prints them. Runs in the formatting realm.

import util from 'node-inspect-extracted';
import { table } from './table.js';

const { apply } = Reflect;

// What console.group adds: `indentation` spaces before every line.
function indent(text, indentation) {
  if (!(indentation > 0)) return text;
  const margin = ' '.repeat(indentation);
  return margin + text.replaceAll('\n', `\n${margin}`);
}

function format(args, indentation = 0) {
  // By index: the array may be the job's, and so would its iterator.
  const list = [{}];
  for (let i = 0; i < args.length; i++) list[i + 1] = args[i];
  return indent(apply(util.formatWithOptions, undefined, list), indentation);
}

function dir(value, options, indentation = 0) {
  return indent(util.inspect(value, { customInspect: false, ...options }), indentation);
}

export default {
  format,
  dir,
  table: (data, columns, indentation = 0) => indent(table(data, columns, format), indentation),
};
