import { readFile, stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { parse } from 'csv-parse/sync';
import { PupilError } from '../errors.js';
import { acceptedSource, drawnAt, findColumns, skippedSource, type Columns } from './columns.js';
import { createFinder } from './find.js';
import { normalName, type Placed } from './layout.js';
import { reasonOf } from './read.js';
import { readEntry } from './read-entry.js';
import { inParallel, unusable, type Entry } from './scan.js';
import type { Split } from './sample.js';
import { plainCell } from './spreadsheet-cell.js';
import { scanTar } from './tar.js';
import { decodeText } from './text.js';

interface Row {
  readonly line: number;
  readonly path: string;
  readonly label: string | undefined;
  readonly split: Split | undefined;
  readonly accepted: boolean;
  /** Its place among the images that were drawn at random; 0: it was not. */
  readonly drawn: number;
  /** A person looked at it, and gave it no label. */
  readonly skipped: boolean;
}

/** The cells of a file under its header. */
export interface Table {
  readonly columns: readonly string[];
  readonly rows: readonly { readonly line: number; readonly cells: readonly unknown[] }[];
}

/** The images that a manifest lists. */
export interface Manifest {
  readonly placed: readonly Placed[];
  /** What is odd but does no harm, one line each. */
  readonly notes: readonly string[];
}

/** Whether a path names a manifest, by its extension. */
export const isManifest = (path: string): boolean => /\.(csv|tsv|tab|jsonl|ndjson)$/i.test(path);

export interface ManifestOptions {
  /** The split of images of which it says none; default train. */
  readonly split?: Split | undefined;
  /** A folder that its paths are shown below. */
  readonly name?: string | undefined;
  /** False: nobody asks for labels. */
  readonly labels?: boolean | undefined;
}

/** Longest label; a name of a class is a few words. */
const longestLabel = 500;

/**
 * Reads a CSV or TSV (with a header) or JSONL file of images: `path,label[,split]`, or the names that
 * others have for these columns (`findColumns`); other columns are named in a note. Paths are
 * relative to the manifest; ARCHIVE.tar/ENTRY is a file inside an archive. Without a label an image is
 * unlabelled, without a split it is for training. Spaces around a label are none of it. Where there is a column
 * `source`, `accepted` in it marks labels that a model had suggested; numbers in a column `random` mark images that
 * were drawn at random (`fairSample`).
 */
export async function readManifest(manifest: string, options: ManifestOptions = {}): Promise<Manifest> {
  const { split: ownSplit = 'train', name = '', labels = true } = options;
  const notes: string[] = [];
  const { columns, rows: all } = await readTable(manifest, notes);
  if (all.length === 0) throw new PupilError('bad-data', `${manifest}: the manifest lists no image`);
  const read = findColumns(columns, (column) => textsOf(all, column), manifest);
  if (labels && read.unread.length > 0) notes.push(`${manifest}: columns not read: ${shownColumns(read.unread)}`);
  if (labels && read.label === undefined)
    notes.push(`${manifest}: it has no column 'label' (found: ${shownColumns(columns)}), so its images have no labels`);
  const rows = uniqueRows(
    all.map(({ line, cells }) => rowOf(line, cells, read, manifest)),
    manifest,
  );
  const entries = await entriesOf(rows, dirname(manifest));
  const fair = fairSample(rows);
  const placed = rows.map((row, i) => ({
    entry: name === '' ? entries[i]! : { ...entries[i]!, path: `${name}/${entries[i]!.path}` },
    split: row.label === undefined ? ('unlabelled' as const) : (row.split ?? ownSplit),
    className: row.split === 'unlabelled' ? undefined : row.label,
    accepted: row.accepted,
    drawn: fair.has(row),
  }));
  return { placed, notes };
}

/**
 * The images that were drawn at random and have labels, before the first of them that waits for one: behind it those
 * alone have labels that were chosen for another reason, or accepted, which is no random sample. Where no order is
 * known, as all have the number 1, all that have labels.
 */
function fairSample(rows: readonly Row[]): ReadonlySet<Row> {
  const drawn = rows.filter((row) => row.drawn > 0);
  const isOrdered = drawn.some((row) => row.drawn > 1);
  const waiting = drawn.filter(({ label, skipped }) => isOrdered && label === undefined && !skipped);
  const end = waiting.reduce((first, row) => Math.min(first, row.drawn), Infinity);
  return new Set(drawn.filter((row) => row.label !== undefined && row.drawn < end));
}

const shownColumns = (names: readonly string[]): string =>
  names.length > 10 ? `${names.slice(0, 10).join(', ')} and ${names.length - 10} more` : names.join(', ');

function* textsOf(rows: Table['rows'], column: number): Iterable<string> {
  for (const { cells } of rows) {
    const cell = cells[column];
    if (cell !== undefined && cell !== null) yield typeof cell === 'string' ? cell : JSON.stringify(cell);
  }
}

/** Each path once. Throws `bad-data` where a path has two labels or splits. */
function uniqueRows(rows: readonly Row[], manifest: string): Row[] {
  const seen = new Map<string, Row>();
  for (const row of rows) {
    const before = seen.get(row.path);
    if (before !== undefined && (before.label !== row.label || before.split !== row.split)) {
      throw new PupilError(
        'bad-data',
        `${manifest}: ${row.path} is listed twice, with different labels or splits (lines ${before.line} and ` +
          `${row.line}); keep one`,
      );
    }
    seen.set(row.path, row);
  }
  return [...seen.values()];
}

/** The files of rows, in their order. */
async function entriesOf(rows: readonly Row[], folder: string): Promise<Entry[]> {
  const find = createFinder(resolve(folder));
  const archives = new Map<string, Promise<ReadonlyMap<string, Entry>>>();
  const open = (archive: string): Promise<ReadonlyMap<string, Entry>> => {
    const known =
      archives.get(archive) ??
      scanTar(archive).then(({ entries }) => new Map(entries.map((entry) => [normalName(entry.name), entry])));
    archives.set(archive, known);
    return known;
  };
  return inParallel(rows, 16, async ({ path }) => {
    const [, outer, inner] = /^(.*\.tar)[/\\](.+)$/is.exec(path) ?? [];
    const archive = outer === undefined ? undefined : find(outer);
    if (archive !== undefined && 'path' in archive && (await stat(archive.path)).isFile()) {
      const entry = (await open(archive.path)).get(normalName(inner!.replaceAll('\\', '/').trim()));
      return entry ?? unusable(path, path, 'no such entry in the archive');
    }
    const found = find(path);
    if ('problem' in found) return unusable(path, path, `cannot be read (${found.problem})`);
    return { ...(await readEntry(path, found.path)), path };
  });
}

function rowOf(line: number, cells: readonly unknown[], columns: Columns, manifest: string): Row {
  const where = `${manifest}, line ${line}`;
  const path = cells[columns.path];
  if (typeof path !== 'string' || path.trim() === '') throw new PupilError('bad-data', `${where}: no path`);
  const label = columns.label === undefined ? undefined : cells[columns.label];
  if (label !== undefined && label !== null && typeof label !== 'string' && typeof label !== 'number') {
    throw new PupilError('bad-data', `${where}: the label is neither a text nor a number`);
  }
  const name = label === undefined || label === null ? undefined : normalName(String(label).trim()) || undefined;
  if (name !== undefined && name.length > longestLabel)
    throw new PupilError('bad-data', `${where}: a label of ${name.length} characters; it may have ${longestLabel}`);
  const split = columns.split === undefined ? undefined : cells[columns.split];
  const word = typeof split === 'string' ? split : split === undefined || split === null ? '' : JSON.stringify(split);
  const source = columns.source === undefined ? undefined : cells[columns.source];
  return {
    line,
    path,
    label: name,
    split: columns.splitOf(word, where),
    accepted: source === acceptedSource,
    skipped: source === skippedSource,
    drawn: drawnAt(columns.random === undefined ? undefined : cells[columns.random]),
  };
}

/** The cells of a CSV, TSV or JSONL file. Throws `not-found` or `bad-data`. */
export async function readTable(manifest: string, notes: string[]): Promise<Table> {
  let bytes: Uint8Array;
  try {
    if (!(await stat(manifest)).isFile()) throw new Error('not a file');
    bytes = await readFile(manifest);
  } catch (error) {
    throw new PupilError('not-found', `${manifest}: the manifest cannot be read (${reasonOf(error)})`, {
      cause: error,
    });
  }
  const isJson = /\.(jsonl|ndjson)$/i.test(manifest);
  const { text, encoding } = decodeText(bytes, manifest, { windows: !isJson });
  if (encoding === 'Windows-1252') {
    const odd = /[^\s,;"]*[^\x00-\x7f][^\s,;"]*/.exec(text)?.[0] ?? '';
    notes.push(
      `${manifest}: not UTF-8, so it was read as Windows-1252 (${odd.slice(0, 40)}); save it as UTF-8 if that is wrong`,
    );
  }
  return isJson ? jsonTable(text, manifest) : csvTable(text, manifest);
}

/**
 * What separates the columns: what the first line holds most of. Where the comma stands in numbers,
 * Excel writes semicolons.
 */
function delimiterOf(text: string): string {
  const header = (/^[^\r\n]*/.exec(text)?.[0] ?? '').replace(/"[^"]*"/g, '');
  const counts = [',', ';', '\t'].map((mark) => [mark, header.split(mark).length] as const);
  return counts.reduce((most, next) => (next[1] > most[1] ? next : most))[0];
}

function csvTable(text: string, manifest: string): Table {
  const delimiter = delimiterOf(text);
  let records: { info: { lines: number }; record: string[] }[];
  try {
    records = parse(text, {
      bom: true,
      info: true,
      skip_empty_lines: true,
      // As spreadsheets leave them.
      skip_records_with_empty_values: true,
      trim: delimiter !== '\t',
      delimiter,
    }) as unknown as typeof records;
  } catch (error) {
    throw new PupilError('bad-data', `${manifest}: not a readable CSV file (${reasonOf(error)})`, { cause: error });
  }
  const [header, ...rows] = records;
  return {
    columns: (header?.record ?? []).map((name) => plainCell(name.trim())),
    rows: rows.map(({ info, record }) => ({ line: info.lines, cells: record.map(plainCell) })),
  };
}

function jsonTable(text: string, manifest: string): Table {
  const columns = new Map<string, number>();
  const rows: { line: number; cells: unknown[] }[] = [];
  for (const [i, line] of text
    .replace(/^\uFEFF/, '')
    .split(/\r\n?|\n/)
    .entries()) {
    if (line.trim() === '') continue;
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch (error) {
      throw new PupilError('bad-data', `${manifest}, line ${i + 1}: not JSON (${reasonOf(error)})`, { cause: error });
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw new PupilError('bad-data', `${manifest}, line ${i + 1}: not an object {"path", "label"}`);
    }
    const cells: unknown[] = [];
    for (const [name, cell] of Object.entries(value)) {
      if (!columns.has(name)) columns.set(name, columns.size);
      cells[columns.get(name)!] = cell;
    }
    rows.push({ line: i + 1, cells });
  }
  return { columns: [...columns.keys()], rows };
}
