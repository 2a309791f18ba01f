import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus, release } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { page, rowText } from './render.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const versionOf = (name) => JSON.parse(readFileSync(join(root, name, 'package.json'), 'utf8')).version;

/** Where and with what a row was measured. */
export const header = () => ({
  date: new Date().toISOString().slice(0, 10),
  machine: `${cpus()[0].model.trim()}, ${availableParallelism()} threads, ${process.platform} ${release()}`,
  versions: { pupil: versionOf('.'), node: process.version, onnxruntime: versionOf('node_modules/pupil-onnxruntime') },
});

export const results = join(root, 'results');

/** Keeps a row's result, writes the page of all that are kept, and gives the row as text. */
export function save(row, names, result, folder) {
  mkdirSync(folder, { recursive: true });
  const file = join(folder, 'benchmarks.json');
  const all = {
    ...(existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {}),
    [row.name]: { group: row.group, ...result },
  };
  writeFileSync(file, `${compact(all)}\n`);
  writeFileSync(join(folder, 'benchmarks.md'), page(all, names));
  return rowText(row.name, all[row.name]);
}

/** JSON with lists of numbers on one line. */
const compact = (value) =>
  JSON.stringify(value, null, 1).replace(/\[[^[\]{}"]*\]/g, (list) => list.replace(/\s+/g, ' '));
