// console.table: the tables that Node prints. Two things differ: brands come from the natives, and a proxy is looked
// through, not run.

import util from 'node-inspect-extracted';
import natives from './natives.js';
import { mapView, setView } from './inspect_host.js';

const { getStringWidth } = util;
const indexKey = '(index)';
const iterationKey = '(iteration index)';
const keyKey = 'Key';
const valuesKey = 'Values';

function throughProxies(value) {
  for (;;) {
    const target = natives.getProxyDetails(value, false);
    if (target === undefined) return value;
    value = target;
  }
}

const isObject = (value) => value !== null && (typeof value === 'object' || typeof value === 'function');

function cell(value) {
  value = throughProxies(value);
  const deep = value !== null && typeof value === 'object' && !Array.isArray(value) && !natives.isTypedArray(value) &&
    Object.keys(value).length > 2;
  return util.inspect(value, { depth: deep ? -1 : 0, maxArrayLength: 3, breakLength: Infinity });
}

function renderRow(row, widths) {
  const cells = row.map((text, i) => text + ' '.repeat(widths[i] - getStringWidth(text)));
  return `│ ${cells.join(' │ ')} │`;
}

function render(head, columns) {
  const height = Math.max(0, ...columns.map((column) => column.length));
  const rows = [];
  for (let y = 0; y < height; y++) rows.push(head.map((_, x) => (Object.hasOwn(columns[x], y) ? columns[x][y] : '')));
  const widths = head.map((title, x) =>
    rows.reduce((width, row) => Math.max(width, getStringWidth(row[x])), getStringWidth(title)));
  const lines = widths.map((width) => '─'.repeat(width + 2));
  return [
    `┌${lines.join('┬')}┐`,
    renderRow(head, widths),
    `├${lines.join('┼')}┤`,
    ...rows.map((row) => renderRow(row, widths)),
    `└${lines.join('┴')}┘`,
  ].join('\n');
}

const counted = (column) => column.map((_, i) => cell(i));

function pairs(entries) {
  const keys = entries.map(([key]) => cell(key));
  return render([iterationKey, keyKey, valuesKey], [counted(keys), keys, entries.map(([, value]) => cell(value))]);
}

function list(values) {
  const column = values.map(cell);
  return render([iterationKey, valuesKey], [counted(column), column]);
}

function iterator(data) {
  const [entries, isKeyValue] = natives.previewEntries(data, true);
  const items = [];
  const step = isKeyValue ? 2 : 1;
  for (let i = 0; i < entries.length; i += step) items.push(isKeyValue ? [entries[i], entries[i + 1]] : entries[i]);
  return isKeyValue && natives.isMapIterator(data) ? pairs(items) : list(items.flat());
}

function listOf(columns) {
  if (columns === undefined) return undefined;
  if (!Array.isArray(columns)) {
    const error = new TypeError('The "properties" argument must be an instance of Array.');
    error.code = 'ERR_INVALID_ARG_TYPE';
    throw error;
  }
  const names = [];
  for (let i = 0; i < columns.length; i++) names.push(columns[i]);
  return names;
}

function records(data, columns) {
  const index = Object.keys(data);
  const table = { __proto__: null };
  const values = [];
  index.forEach((row, y) => {
    const item = throughProxies(data[row]);
    const primitive = !isObject(item);
    if (columns === undefined && primitive) {
      values[y] = cell(item);
      return;
    }
    for (const key of columns ?? Object.keys(item)) {
      table[key] ??= [];
      table[key][y] = primitive || !Object.hasOwn(item, key) ? '' : cell(item[key]);
    }
  });
  const head = [indexKey, ...Object.keys(table)];
  const body = [index, ...Object.values(table)];
  if (values.length > 0) {
    head.push(valuesKey);
    body.push(values);
  }
  return render(head, body);
}

export function table(data, columns, format) {
  const names = listOf(columns);
  if (data === null || typeof data !== 'object') return format([data]);
  data = throughProxies(data);
  if (data === null) return format([data]);
  if (natives.isMapIterator(data) || natives.isSetIterator(data)) return iterator(data);
  if (natives.isMap(data)) return pairs([...mapView(data)]);
  if (natives.isSet(data)) return list([...setView(data)]);
  return records(data, names);
}
