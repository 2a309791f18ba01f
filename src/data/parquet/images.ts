/** Images in Parquet files, as Hugging Face's data sets have them: their places, labels and splits. */
import { stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { PupilError } from '../../errors.js';
import { labelColumns, plainName } from '../columns.js';
import { normalName, splitOf, type Placed } from '../layout.js';
import { reasonOf } from '../read.js';
import type { Split, Unreadable } from '../sample.js';
import type { Entry } from '../scan.js';
import type { SkipOptions } from '../skipping.js';
import { createParquetReader, type ParquetReader } from './reader.js';
import type { ParquetHeader } from './worker.js';

export const isParquet = (path: string): boolean => /\.parquet$/i.test(path);

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

/**
 * The images of Parquet files with a column of image bytes (or of {bytes, path}) and, if there is one, a column of
 * labels: texts, or numbers whose names stand in the file. A file's name, else its folder's, says the split; rows
 * without a label (null or -1) are unlabelled. `whole`: files numbered OF so many are all wanted. Throws `not-found`
 * for one of those that is missing, and `bad-data`.
 */
export async function readParquetImages(
  paths: readonly string[],
  { skip, whole = false }: SkipOptions & { readonly whole?: boolean } = {},
): Promise<ParquetImages> {
  const notes = whole ? [] : notesOfOthers(paths);
  if (whole) assertComplete(paths);
  const placed: Placed[] = [],
    damaged: Unreadable[] = [];
  const reader = createParquetReader();
  try {
    for (const path of paths) {
      const { rows, problem, noted } = await readFile(reader, path);
      if (problem !== undefined && skip === undefined)
        throw new PupilError('bad-data', `${path}: ${problem} (\`skip: 1\` goes on without it)`);
      if (problem !== undefined) damaged.push({ path, reason: problem });
      for (const row of rows) placed.push(row);
      notes.push(...noted);
    }
  } finally {
    await reader.close();
  }
  return { placed, notes: [...new Set(notes)], damaged };
}

interface FileRows {
  readonly rows: readonly Placed[];
  /** Why there are no more. */
  readonly problem?: string | undefined;
  readonly noted: readonly string[];
}

async function readFile(reader: ParquetReader, path: string): Promise<FileRows> {
  const rows: Placed[] = [],
    noted: string[] = [];
  const failed = (error: unknown): FileRows => {
    return { rows, noted, problem: `not a readable Parquet file (${reasonOf(error)}); make or copy it again` };
  };
  await stat(path).catch((error: unknown) => {
    throw new PupilError('not-found', `${path}: ${reasonOf(error)}`, { cause: error });
  });
  let header: ParquetHeader;
  try {
    header = await reader.open(path);
  } catch (error) {
    return failed(error);
  }
  const { image, label, nameOf, note } = columnsOf(path, header);
  if (note !== undefined) noted.push(note);
  const split = splitIn(path);
  let from = 0;
  for (const count of header.groups) {
    const to = from + count;
    try {
      for (const [i, { label: value, ...found }] of (await reader.index({ path, from, to, image, label })).entries()) {
        const row = from + i;
        const name = `${basename(path)}/${row}`;
        const entry: Entry = {
          ...found,
          name,
          path: `${path}/${row}`,
          source: { kind: 'cell', path, column: image, row, from, to, length: found.bytes },
        };
        const className = value === undefined ? undefined : nameOf(value);
        rows.push({ entry, split: className === undefined ? 'unlabelled' : split, className });
      }
    } catch (error) {
      if (error instanceof PupilError && error.code === 'crashed') throw error;
      return failed(error);
    }
    from = to;
  }
  return { rows, noted };
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
  setsOf(paths).flatMap(({ name, numbers, count }) =>
    numbers.size < count ? [`${paths[0]!}: ${numbers.size} of ${count} files of ${name} are opened`] : [],
  );
