/** Pseudo-labels as a file that people can open, correct and feed back (docs/pseudo-labels.md). */
import { isUtf8 } from 'node:buffer';
import { readFile, type FileHandle } from 'node:fs/promises';
import { dirname, extname, resolve } from 'node:path';
import { invariant, PupilError } from '../errors.js';
import { list, naturalOrder } from '../data/dataset.js';
import type { PseudoLabel, PseudoLabels } from '../data/pseudo-labels.js';
import { reasonOf } from '../data/read.js';
import { plainCell } from '../data/spreadsheet-cell.js';
import { absolutePlace } from '../http/address.js';
import { teachersIn } from '../models/licence.js';
import { csvField, placeFrom } from './csv.js';
import { replaceFile } from './files.js';
import { readParquet, type ParquetRows } from './parquet.js';
import { createParquetWriter } from './parquet-writer.js';

/** Parquet's types, by column. */
const types = {
  path: 'STRING',
  label: 'STRING',
  confidence: 'DOUBLE',
  probabilities: 'STRING',
  accepted: 'BOOLEAN',
  copies: 'INT32',
  hash: 'STRING',
  soft: 'BOOLEAN',
  teachers: 'STRING',
} as const;

type Column = keyof typeof types;

/** Throws `usage` unless the name ends in `.parquet` or `.csv`. */
export function pseudoLabelFormat(file: string): 'parquet' | 'csv' {
  const extension = extname(file).toLowerCase();
  if (extension === '.parquet' || extension === '.csv') return extension === '.csv' ? 'csv' : 'parquet';
  throw new PupilError('usage', `${file}: pseudo-labels are kept in a .parquet or a .csv file; give it such a name`);
}

/** Rows that are kept and written together at most. */
const mostTogether = 10_000;

/** Writes pseudo-labels to an open file; only some rows are in memory. */
export interface PseudoLabelWriter {
  add(rows: Iterable<PseudoLabel>): Promise<void>;
  end(): Promise<void>;
}

/**
 * Begins a file of pseudo-labels, by the extension of `file` as Parquet or CSV. Paths of images below the
 * file's folder are written relative to it, others absolute. Throws `usage` for another extension.
 */
export async function createPseudoLabelWriter(
  file: string,
  handle: FileHandle,
  { classes, soft = false, teachers = [] }: Pick<PseudoLabels, 'classes' | 'soft' | 'teachers'>,
): Promise<PseudoLabelWriter> {
  const format = pseudoLabelFormat(file);
  const folder = resolve(dirname(file));
  const cellsOf: Readonly<Record<Column, (row: PseudoLabel) => string | number | boolean>> = {
    path: ({ path }) => placeFrom(folder, path),
    label: ({ label }) => classes[label]!,
    confidence: ({ confidence }) => confidence,
    probabilities: ({ probabilities }) => encodeProbabilities(probabilities, classes),
    accepted: ({ accepted }) => accepted,
    copies: ({ copies }) => copies,
    hash: ({ hash }) => hash,
    soft: () => soft,
    teachers: () => JSON.stringify(teachers),
  };
  const columns = (Object.keys(types) as Column[]).filter((name) => name !== 'teachers' || teachers.length > 0);
  // Rows in memory at a time: so many are some 50 MB on their way into the file, fewer with many classes.
  const together = Math.max(100, Math.min(mostTogether, Math.floor(1e6 / classes.length)));
  const parquet =
    format === 'csv'
      ? undefined
      : await createParquetWriter(
          handle,
          columns.map((name) => ({ name, type: types[name] })),
        );
  if (parquet === undefined) await handle.appendFile(`${columns.join(',')}\n`);
  let pending: PseudoLabel[] = [];
  const flush = async (): Promise<void> => {
    const rows = pending;
    pending = [];
    if (parquet !== undefined) return parquet.add(columns.map((name) => rows.map(cellsOf[name])));
    const lines = rows.map((row) => `${columns.map((name) => csvField(String(cellsOf[name](row)))).join(',')}\n`);
    await handle.appendFile(lines.join(''));
  };
  return {
    async add(rows) {
      for (const row of rows) {
        pending.push(row);
        if (pending.length === together) await flush();
      }
    },
    async end() {
      await flush();
      await parquet?.end();
    },
  };
}

/** Writes pseudo-labels atomically, as `createPseudoLabelWriter` does. Throws `io` when that fails. */
export const writePseudoLabels = (file: string, labels: PseudoLabels): Promise<void> =>
  replaceFile(file, async (handle) => {
    const writer = await createPseudoLabelWriter(file, handle, labels);
    await writer.add(labels.rows);
    await writer.end();
  });

/** Probabilities by class name as JSON, with as few digits as give the same float32 again. */
const encodeProbabilities = (probabilities: Float32Array, classes: readonly string[]): string =>
  `{${classes.map((name, c) => `${JSON.stringify(name)}:${shortest(probabilities[c]!)}`).join(',')}}`;

/** The shortest decimal number that is the same float32. */
export function shortest(value: number): number {
  invariant(Number.isFinite(value), `a probability is ${value}`);
  for (let digits = 6; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return value;
}

/** One row as it stands in the file, whatever the format. */
interface Fields {
  readonly values: Readonly<Partial<Record<string, unknown>>>;
  /** FILE, line N. */
  readonly where: string;
}

/**
 * Reads pseudo-labels for training images of `classes` (default: those that the file names, in
 * natural order): a CSV or Parquet file with `path` and `label`, other columns where they are
 * there. Paths are relative to the file and come back absolute. A label that is not the most
 * probable class was corrected by hand: its probabilities become one-hot, its confidence 1. A row
 * is accepted unless `accepted` says no. Throws `not-found`, and `bad-data` with the line for
 * whatever cannot be understood.
 */
export async function readPseudoLabels(file: string, classes?: readonly string[]): Promise<PseudoLabels> {
  const format = pseudoLabelFormat(file);
  const bytes = await readFile(file).catch((error: unknown) => {
    throw new PupilError('not-found', `${file}: the pseudo-labels cannot be read (${reasonOf(error)})`, {
      cause: error,
    });
  });
  if (bytes.length === 0)
    throw new PupilError('bad-data', `${file}: the file is empty; write it again with pupil pseudo-label`);
  const records = await (format === 'csv' ? fromCsv(bytes, file) : fromParquet(bytes, file));
  if (records.length === 0)
    throw new PupilError('bad-data', `${file}: it lists no image; write it again with pupil pseudo-label`);
  const names = classes ?? namesIn(records);
  const context = { folder: dirname(resolve(file)), classes: names, index: new Map(names.map((name, i) => [name, i])) };
  const seen = new Map<string, string>();
  const rows = records.map((record) => {
    const row = rowOf(record, context);
    const before = seen.get(row.path);
    if (before !== undefined)
      throw new PupilError(
        'bad-data',
        `${record.where}: ${row.path} is listed twice (also ${before.slice(file.length + 2)}); keep one, ` +
          'and say how often it counts in the column copies',
      );
    seen.set(row.path, record.where);
    return row;
  });
  const softness = records
    .map(({ values, where }) => ({ where, soft: booleanOf(values['soft'], 'soft', where) }))
    .filter(({ soft }) => soft !== undefined);
  const other = softness.find(({ soft }) => soft !== softness[0]!.soft);
  if (other)
    throw new PupilError(
      'bad-data',
      `${other.where}: soft is ${String(other.soft)}, other rows say ${String(!other.soft)}; ` +
        'write the same in all rows',
    );
  const teachers = teachersOf(records[0]!);
  return { classes: names, rows, soft: softness[0]?.soft, ...(teachers && { teachers }) };
}

/** What cannot be understood says nothing. */
function teachersOf({ values }: Fields): PseudoLabels['teachers'] {
  try {
    return teachersIn({ teachers: JSON.parse(textOf(values['teachers'])) as unknown });
  } catch {
    return undefined;
  }
}

async function fromCsv(bytes: Buffer, file: string): Promise<Fields[]> {
  if (!isUtf8(bytes))
    throw new PupilError('bad-data', `${file}: not a readable CSV file (its text is not UTF-8); save it as UTF-8`);
  const { parse } = await import('csv-parse/sync');
  let records: { info: { lines: number }; record: Record<string, string> }[];
  let header: string[] = [];
  try {
    records = parse(bytes, {
      bom: true,
      info: true,
      skip_empty_lines: true,
      cast: plainCell,
      columns: (names: string[]) => (header = names.map((name) => name.trim().toLowerCase())),
    }) as unknown as typeof records;
  } catch (error) {
    throw new PupilError('bad-data', `${file}: not a readable CSV file (${reasonOf(error)})`, { cause: error });
  }
  assertColumns(header, file);
  return records.map(({ info, record }) => ({ values: record, where: `${file}, line ${info.lines}` }));
}

async function fromParquet(bytes: Uint8Array, file: string): Promise<Fields[]> {
  let read: ParquetRows;
  try {
    read = await readParquet(Uint8Array.from(bytes));
  } catch (error) {
    const hint = /compress/i.test(reasonOf(error)) ? '; save it with snappy compression' : '';
    throw new PupilError('bad-data', `${file}: not a readable Parquet file (${reasonOf(error)})${hint}`, {
      cause: error,
    });
  }
  assertColumns(read.names, file);
  return read.rows.map((values, i) => ({ values, where: `${file}, row ${i + 1}` }));
}

function assertColumns(found: readonly string[], file: string): void {
  const missing = (['path', 'label'] as const).filter((name) => !found.includes(name));
  if (missing.length > 0) {
    throw new PupilError(
      'bad-data',
      `${file}: it has no column ${missing.map((name) => `'${name}'`).join(' and ')} (found: ` +
        `${list(found, 10) || 'nothing'}); path and label are needed`,
    );
  }
}

interface Context {
  readonly folder: string;
  readonly classes: readonly string[];
  readonly index: ReadonlyMap<string, number>;
}

function rowOf({ values, where }: Fields, { folder, classes, index }: Context): PseudoLabel {
  const path = textOf(values['path']),
    name = textOf(values['label']);
  if (path === '') throw new PupilError('bad-data', `${where}: no path`);
  if (name === '')
    throw new PupilError('bad-data', `${where}: no label; write one of ${list(classes)}, or remove the row`);
  const label = index.get(name);
  if (label === undefined)
    throw new PupilError('bad-data', `${where}: unknown class '${name}'; the classes are ${list(classes)}`);
  const given = probabilitiesOf(values['probabilities'], where, { classes, index });
  const kept = given !== undefined && given[label]! >= given.reduce((most, p) => Math.max(most, p), 0);
  const accepted = booleanOf(values['accepted'], 'accepted', where) ?? true;
  const copies = numberOf(values['copies'], 'copies', where);
  if (copies !== undefined && !(Number.isInteger(copies) && copies >= 0))
    throw new PupilError('bad-data', `${where}: copies ${copies} is not a whole number, 0 or more`);
  const confidence = numberOf(values['confidence'], 'confidence', where);
  if (confidence !== undefined && !(confidence >= 0 && confidence <= 1))
    throw new PupilError('bad-data', `${where}: confidence ${confidence} is not from 0 to 1`);
  return {
    path: absolutePlace(folder, path),
    hash: textOf(values['hash']),
    label,
    // A person is sure.
    confidence: kept ? (confidence ?? given[label]!) : given === undefined ? (confidence ?? 1) : 1,
    probabilities: kept ? given : Float32Array.from(classes, (_, c) => Number(c === label)),
    accepted,
    copies: accepted ? Math.max(1, copies ?? 1) : 0,
  };
}

const isMissing = (value: unknown): boolean =>
  value === undefined ||
  value === null ||
  (typeof value === 'string' && value.trim() === '') ||
  (typeof value === 'number' && Number.isNaN(value)); // as pandas writes a gap

const textOf = (value: unknown): string => (isMissing(value) ? '' : String(value));

function numberOf(value: unknown, column: Column, where: string): number | undefined {
  if (isMissing(value)) return undefined;
  const number = typeof value === 'bigint' || typeof value === 'string' ? Number(value) : value;
  if (typeof number === 'number' && Number.isFinite(number)) return number;
  throw new PupilError('bad-data', `${where}: ${column} ${JSON.stringify(value)} is not a number`);
}

function booleanOf(value: unknown, column: Column, where: string): boolean | undefined {
  if (isMissing(value)) return undefined;
  const word = textOf(value).trim().toLowerCase();
  if (/^(true|yes|1(\.0)?)$/.test(word)) return true;
  if (/^(false|no|0(\.0)?)$/.test(word)) return false;
  throw new PupilError('bad-data', `${where}: ${column} '${word}' is neither true nor false`);
}

/** Every class that is a label or has a probability. */
function namesIn(records: readonly Fields[]): string[] {
  const names = new Set<string>();
  for (const { values, where } of records) {
    names.add(textOf(values['label']));
    const read = isMissing(values['probabilities']) ? [] : parsed(values['probabilities'], where);
    if (!Array.isArray(read)) for (const name of Object.keys(read)) names.add(name);
  }
  names.delete('');
  return [...names].sort(naturalOrder);
}

/** A JSON text or what a nested column holds: an object or a list. */
function parsed(value: unknown, where: string): object {
  const wanted = `${where}: probabilities are not JSON such as {"name of a class": 0.9, ...}`;
  try {
    const read: unknown = typeof value === 'string' ? JSON.parse(value) : value;
    if (typeof read === 'object' && read !== null)
      return ArrayBuffer.isView(read) ? Array.from(read as Float32Array) : read;
  } catch (error) {
    throw new PupilError('bad-data', `${wanted} (${reasonOf(error)})`, { cause: error });
  }
  throw new PupilError('bad-data', wanted);
}

/** By class name (JSON or a nested column), or a list in the order of the classes. */
function probabilitiesOf(
  value: unknown,
  where: string,
  { classes, index }: Pick<Context, 'classes' | 'index'>,
): Float32Array | undefined {
  if (isMissing(value)) return undefined;
  const read = parsed(value, where);
  const isList = Array.isArray(read);
  const entries: [number, unknown][] = isList
    ? read.map((p: unknown, c) => [c, p])
    : Object.entries(read).map(([name, p]) => {
        const c = index.get(name);
        if (c === undefined)
          throw new PupilError(
            'bad-data',
            `${where}: unknown class '${name}' among the probabilities; the classes are ${list(classes)}`,
          );
        return [c, p];
      });
  if (isList && entries.length !== classes.length) {
    throw new PupilError('bad-data', `${where}: ${entries.length} probabilities for ${classes.length} classes`);
  }
  const probabilities = new Float32Array(classes.length);
  for (const [c, p] of entries) {
    if (!(typeof p === 'number' && p >= 0 && p <= 1.001))
      throw new PupilError(
        'bad-data',
        `${where}: the probability of '${classes[c]!}' is ${JSON.stringify(p)}, not a number from 0 to 1`,
      );
    probabilities[c] = p;
  }
  const sum = probabilities.reduce((a, b) => a + b, 0);
  if (Math.abs(sum - 1) > 0.02)
    throw new PupilError('bad-data', `${where}: the probabilities add up to ${Number(sum.toPrecision(4))}, not to 1`);
  return probabilities;
}
