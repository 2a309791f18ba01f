/** Images in Parquet files, as Hugging Face's data sets have them: their places, labels and splits. */
import { stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { PupilError } from '../../errors.js';
import { isRemote, shownAddress } from '../../http/address.js';
import type { RemoteFile, RemoteOptions } from '../../http/remote-file.js';
import { labelColumns, plainName } from '../columns.js';
import { normalName, splitOf, type Placed } from '../layout.js';
import { reasonOf } from '../read.js';
import type { Split, Unreadable } from '../sample.js';
import { inParallel, type Entry } from '../scan.js';
import { keyOf } from '../remote/archive.js';
import { readKept, writeKept } from '../remote/kept-index.js';
import { defaultShardCache } from '../remote/shard-cache.js';
import type { SkipOptions } from '../skipping.js';
import { createParquetReader, type ParquetReader } from './reader.js';
import type { ParquetHeader, ParquetRow } from './worker.js';

/** By its name; at an address whatever follows on `?`. */
export const isParquet = (path: string): boolean => /\.parquet$/i.test(isRemote(path) ? shownAddress(path) : path);

const isImageName = (name: string): boolean => /\.(jpe?g|png|webp|gif|bmp|tiff?|avif|heic|tar|csv|jsonl)$/i.test(name);

/** The Parquet files of a folder that holds its images in them; none where there are image files, archives or lists. */
export function parquetFilesAmong<File extends { readonly name: string }>(files: Iterable<File>): File[] {
  const found: File[] = [];
  for (const file of files) {
    if (isImageName(file.name)) return [];
    if (isParquet(file.name)) found.push(file);
  }
  return found;
}

export interface ParquetImages {
  readonly placed: readonly Placed[];
  readonly notes: readonly string[];
  readonly damaged: readonly Unreadable[];
}

/** `train-00000-of-00003.parquet`: what is numbered, the number, and how many there are. */
const numbered = /^(.*?)[-_.]?(\d{5})-of-(\d{5})(?:-[0-9a-f]+)?\.parquet$/i;

/** Files that are read at a time from hosts. */
const remoteLanes = 4;

export interface TableOptions extends SkipOptions, Pick<RemoteOptions, 'signal' | 'limits'> {
  /** Files numbered OF so many are all wanted. */
  readonly whole?: boolean | undefined;
}

/**
 * The images of Parquet files (here, or at addresses) with a column of image bytes (or of {bytes, path}) and, if there
 * is one, a column of labels: texts, or numbers whose names stand in the file. A file's name, else its folder's, says
 * the split; rows without a label (null or -1) are unlabelled. Throws `not-found` for a file that is missing,
 * `bad-data`, and `network` and `interrupted` where a host is read.
 */
export async function readParquetImages(
  paths: readonly string[],
  { skip, whole = false, ...fetching }: TableOptions = {},
): Promise<ParquetImages> {
  const notes = whole ? [] : notesOfOthers(paths);
  if (whole) assertComplete(paths);
  const placed: Placed[] = [],
    damaged: Unreadable[] = [];
  const reader = createParquetReader({ ...fetching, isVerified: true });
  try {
    const files = await inParallel(paths, paths.every(isRemote) ? remoteLanes : 1, async (path) => {
      const file = await readFile(reader, path, skip !== undefined);
      const [first] = file.problems;
      if (first !== undefined && skip === undefined)
        throw new PupilError('bad-data', `${first.path}: ${first.reason} (\`skip: 1\` goes on without it)`);
      return file;
    });
    for (const { rows, problems, noted } of files) {
      for (const row of rows) placed.push(row);
      damaged.push(...problems);
      notes.push(...noted);
    }
  } finally {
    await reader.close();
  }
  return { placed, notes: [...new Set(notes)], damaged };
}

interface FileRows {
  readonly rows: readonly Placed[];
  /** The file, or groups of its rows, that cannot be read. */
  readonly problems: readonly Unreadable[];
  readonly noted: readonly string[];
}

/**
 * Reads a file; with `salvage`, what can be read of one that is damaged. `isAgain`: its checksum was wrong, maybe
 * because it was damaged on its way.
 */
async function readFile(reader: ParquetReader, path: string, salvage: boolean, isAgain = false): Promise<FileRows> {
  const shown = shownPath(path);
  if (!isRemote(path))
    await stat(path).catch((error: unknown) => {
      throw new PupilError('not-found', `${path}: ${reasonOf(error)}`, { cause: error });
    });
  const index = isRemote(path) ? await keptIndex(await reader.describe(path)) : undefined;
  const problems: Unreadable[] = [];
  const failed = (what: string, part: string, error: unknown): void => {
    if (error instanceof PupilError && error.code !== 'bad-data') throw error;
    const reason = reasonOf(error).replace(`${shown}: `, '');
    problems.push({ path: shown + part, reason: `${what} (${reason}); make or copy it again` });
  };
  const unread = (): FileRows => ({ rows: [], problems, noted: [] });
  let header: ParquetHeader;
  try {
    header = index?.known?.header ?? (await reader.open(path));
  } catch (error) {
    failed('not a readable Parquet file', '', error);
    return unread();
  }
  const { image, label, nameOf, note } = columnsOf(shown, header);
  const groups: (readonly ParquetRow[])[] = [];
  let from = 0;
  for (const [i, { rows }] of header.groups.entries()) {
    const to = from + rows;
    try {
      groups.push(index?.known?.groups[i] ?? (await reader.index({ path, from, to, image, label })));
    } catch (error) {
      failed('rows of a Parquet file that cannot be read', `/${from}..${to - 1}`, error);
      if (!salvage) return unread();
      groups.push([]);
    }
    from = to;
  }
  if (problems.length === 0 && index?.known === undefined) {
    try {
      await reader.verify(path);
    } catch (error) {
      failed('not a readable Parquet file', '', error);
      return isAgain ? unread() : await readFile(reader, path, salvage, true);
    }
    await index?.keep({ header, groups });
  }
  const rows = placeRows(path, { header, groups }, { image, nameOf });
  return { rows, problems, noted: note === undefined ? [] : [note] };
}

const shownPath = (path: string): string => (isRemote(path) ? shownAddress(path) : path);

/** What is kept of a file on a host. */
interface TableIndex {
  readonly header: ParquetHeader;
  /** The rows of each group. */
  readonly groups: readonly (readonly ParquetRow[])[];
}

/** Changes with what an index holds. */
const indexVersion = 1;

/** The index of a file that was kept; undefined where nothing tells whether the file was replaced. */
async function keptIndex(
  file: RemoteFile,
): Promise<{ readonly known: TableIndex | undefined; keep(index: TableIndex): Promise<void> } | undefined> {
  if (file.version === undefined) return undefined;
  const path = join(defaultShardCache().folder, `${keyOf(file)}.rows.json`);
  return {
    known: await readKept<TableIndex>(path, indexVersion),
    keep: (index) => writeKept(path, indexVersion, index),
  };
}

/** The rows of a file as images of a data set. */
function placeRows(
  path: string,
  { header, groups }: TableIndex,
  { image, nameOf }: Pick<ImageColumns, 'image' | 'nameOf'>,
): Placed[] {
  const shown = shownPath(path),
    split = splitIn(shown);
  const placed: Placed[] = [];
  let from = 0;
  for (const [g, { rows }] of header.groups.entries()) {
    const to = from + rows;
    for (const [i, { label, ...found }] of groups[g]!.entries()) {
      const row = from + i;
      const entry: Entry = {
        ...found,
        name: `${basename(shown)}/${row}`,
        path: `${shown}/${row}`,
        source: {
          kind: 'cell',
          path,
          column: image,
          row,
          from,
          to,
          length: found.bytes,
          ...(isRemote(path) ? { hash: found.hash } : {}),
        },
      };
      const className = label === undefined ? undefined : nameOf(label);
      placed.push({ entry, split: className === undefined ? 'unlabelled' : split, className });
    }
    from = to;
  }
  return placed;
}

interface ImageColumns {
  readonly image: string;
  readonly label: string | undefined;
  /** The class of a cell; undefined: no label. */
  nameOf(value: string | number): string | undefined;
  readonly note: string | undefined;
}

/** Which columns are read. Throws `bad-data` where none may hold images. */
function columnsOf(path: string, { columns, description }: ParquetHeader): ImageColumns {
  const features = featuresIn(description);
  const typeOf = (name: string): unknown => features[name]?.['_type'];
  const images = columns.filter(({ mayBeImage }) => mayBeImage).map(({ name }) => name);
  const image =
    images.find((name) => typeOf(name) === 'Image') ??
    images.find((name) => /^(image|img|picture|photo|jpe?g|png|webp)s?$/i.test(name)) ??
    images[0];
  const all = columns.map(({ name }) => name);
  if (image === undefined)
    throw new PupilError(
      'bad-data',
      `${path}: no column holds image bytes, as Hugging Face's data sets have them (found: ${all.join(', ')})`,
    );
  const others = all.filter((name) => name !== image);
  const label =
    labelColumns.flatMap((name) => others.filter((other) => plainName(other) === name))[0] ??
    others.find((name) => typeOf(name) === 'ClassLabel');
  const names = label === undefined ? undefined : features[label]?.['names'];
  const known = Array.isArray(names) ? names.map(String) : undefined;
  return {
    image,
    label,
    nameOf(value) {
      if (typeof value === 'string') return normalName(value.trim()) || undefined;
      if (value < 0) return undefined;
      return normalName(known?.[value] ?? String(value));
    },
    note:
      label === undefined
        ? `${path}: no column 'label' (found: ${all.join(', ')}), so its images have no labels`
        : undefined,
  };
}

type Features = Readonly<Record<string, Readonly<Record<string, unknown>> | undefined>>;

/** The columns as `datasets` describes them. */
function featuresIn(description: string | undefined): Features {
  try {
    const { info } = JSON.parse(description ?? '{}') as { info?: { features?: Features } };
    return info?.features ?? {};
  } catch {
    return {};
  }
}

/** By the file's name, else by its folder's. */
function splitIn(path: string): Split {
  const name = basename(path).replace(/\.parquet$/i, '');
  const own = numbered.exec(basename(path))?.[1] ?? name.replace(/[-_.]?\d+$/, '');
  return splitOf(own) ?? splitOf(basename(dirname(path))) ?? 'train';
}

/** The numbers there are of each set of files, by what they have in common; and how many there should be. */
function setsOf(paths: readonly string[]): { name: string; numbers: Set<number>; count: number }[] {
  const sets = new Map<string, { name: string; numbers: Set<number>; count: number }>();
  for (const path of paths) {
    const [, name, number, count] = numbered.exec(basename(path)) ?? [];
    if (name === undefined) continue;
    const key = JSON.stringify([dirname(path), name, count]);
    const set = sets.get(key) ?? { name, numbers: new Set<number>(), count: Number(count) };
    sets.set(key, set);
    set.numbers.add(Number(number));
  }
  return [...sets.values()];
}

function assertComplete(paths: readonly string[]): void {
  for (const { name, numbers, count } of setsOf(paths))
    for (let i = 0; i < count; i++) {
      if (numbers.has(i)) continue;
      const [number, all] = [i, count].map((value) => String(value).padStart(5, '0'));
      const missing = `${name}-${number!}-of-${all!}.parquet`;
      throw new PupilError(
        'not-found',
        `${dirname(paths[0]!)}: ${missing} is missing; copy it, or give the files that there are`,
      );
    }
}

const notesOfOthers = (paths: readonly string[]): string[] =>
  setsOf(paths.map(shownPath)).flatMap(({ name, numbers, count }) =>
    numbers.size < count ? [`${shownPath(paths[0]!)}: ${numbers.size} of ${count} files of ${name} are opened`] : [],
  );
