/**
 * The parts of an array job's result: a folder with one Parquet file for each shard. Its rows are what the
 * shard found, in the order of the images; beside them stands what they were made from.
 */
import { createHash } from 'node:crypto';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';
import { PupilError } from '../errors.js';
import { reasonOf } from '../data/read.js';
import { list } from '../data/words.js';
import { asyncDispose } from '../dispose.js';
import { sweepDrafts } from '../drafts.js';
import { startThread } from '../threads/thread.js';
import { replaceFile } from './files.js';
import { checksumKey, headerKey, type PartRequest, type PartTexts } from './part-texts.js';
import { createRowWriter, type ParquetColumn, type ParquetRow, type ParquetRowWriter } from './parquet-writer.js';

/** What parts were made from: where any of it differs, they are not of one result. */
const inputsSchema = v.object({
  version: v.string(),
  /** Of the network, by its contents. */
  teacher: v.string(),
  /** Of the images, by their names and order. */
  data: v.string(),
  /** Images, with files that turn out to be none. */
  images: v.number(),
  /** Of the contents of images that every shard looks at beside its own. */
  shared: v.optional(v.string()),
  /** Options that change the result. */
  options: v.record(v.string(), v.unknown()),
});
export type PartInputs = v.InferOutput<typeof inputsSchema>;

const headerSchema = v.object({
  schema: v.literal(1),
  command: v.string(),
  shard: v.object({ index: v.number(), count: v.number() }),
  inputs: inputsSchema,
  /** Of the inputs. */
  hash: v.string(),
  /** The engine that computed: others round otherwise. */
  engine: v.string(),
  /** The folder that relative paths start from. */
  from: v.string(),
  /** What else the command has to know of the part. */
  notes: v.record(v.string(), v.unknown()),
});
export type PartHeader = v.InferOutput<typeof headerSchema>;

export type PartRow = ParquetRow;

/** SHA-256 over the inputs, whatever the order in which options were given. */
export const hashOfInputs = ({ version, teacher, data, images, shared, options }: PartInputs): string =>
  createHash('sha256')
    .update(JSON.stringify([version, teacher, data, images, shared, sorted(options)]))
    .digest('hex')
    .slice(0, 32);

const sorted = (options: PartInputs['options']): unknown =>
  Object.entries(options)
    .filter(([, value]) => value !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1));

const namePattern = /^part-(\d+)-of-(\d+)\.parquet$/;

/** The file of a shard's part. */
export const partFile = (folder: string, { index, count }: PartHeader['shard']): string =>
  join(folder, `part-${String(index).padStart(5, '0')}-of-${String(count).padStart(5, '0')}.parquet`);

/** Whether a shard's part is there. */
export const hasPart = async (folder: string, shard: PartHeader['shard']): Promise<boolean> =>
  (await stat(partFile(folder, shard)).catch(() => undefined)) !== undefined;

/** The shards whose parts are in a folder. */
export const listParts = async (folder: string): Promise<PartHeader['shard'][]> =>
  (await readdir(folder)).flatMap((name) => {
    const [, index, count] = namePattern.exec(name) ?? [];
    return index === undefined ? [] : [{ index: Number(index), count: Number(count) }];
  });

/** The header of a shard's part; undefined where there is none. Throws `bad-data` for a damaged one. */
export async function findPart(folder: string, shard: PartHeader['shard']): Promise<PartHeader | undefined> {
  if (!(await hasPart(folder, shard))) return undefined;
  const reader = createReader();
  try {
    return (await reader.open(folder, shard)).header;
  } finally {
    await reader.close();
  }
}

/** The rows of a shard's part in their order, some together; only these columns of them. Throws as `findPart` does. */
export async function* readPart(
  folder: string,
  shard: PartHeader['shard'],
  columns: readonly string[],
): AsyncGenerator<PartRow[], void, undefined> {
  const reader = createReader();
  try {
    const part = await reader.open(folder, shard);
    for (const group of part.groups.keys()) yield await reader.rows(part, group, columns);
  } finally {
    await reader.close();
  }
}

/** Rows that are kept and written together. */
export const together = 1024;

export type PartWriter = Pick<ParquetRowWriter, 'add'>;

/**
 * Writes a part whole or not at all: what `work` adds, and the notes that it returns. Throws `io`.
 */
export async function writePart(
  folder: string,
  header: Omit<PartHeader, 'schema' | 'hash' | 'notes' | 'from'>,
  columns: readonly ParquetColumn[],
  work: (writer: PartWriter) => Promise<PartHeader['notes']>,
): Promise<void> {
  await replaceFile(partFile(folder, header.shard), async (handle) => {
    const writer = await createRowWriter(handle, columns, together);
    const notes = await work(writer);
    const whole: PartHeader = { ...header, schema: 1, hash: hashOfInputs(header.inputs), from: process.cwd(), notes };
    const text = JSON.stringify(whole);
    await writer.end(({ count, hash }) => ({
      [headerKey]: text,
      [checksumKey]: `${count} ${hash.update(text).digest('hex')}`,
    }));
  });
}

interface OpenPart {
  readonly file: string;
  readonly header: PartHeader;
  /** Rows of each group. */
  readonly groups: readonly number[];
}

interface PartReader {
  /** Throws `bad-data` for what is not the part of this shard, whatever its name. */
  open(folder: string, shard: PartHeader['shard']): Promise<OpenPart>;
  /** The rows of one group. */
  rows(part: OpenPart, group: number, columns: readonly string[]): Promise<PartRow[]>;
  close(): Promise<void>;
}

function createReader(): PartReader {
  const thread = startThread<PartRequest>({
    url: new URL('./part-worker.js', import.meta.url),
    name: 'reading the parts',
  });
  const call = async <T>(request: PartRequest): Promise<T> => {
    try {
      return await thread.call<T>(request);
    } catch (error) {
      throw damaged(request.path, reasonOf(error), error);
    }
  };
  return {
    async open(folder, { index, count }) {
      const file = partFile(folder, { index, count });
      const { texts, groups } = await call<PartTexts>({ path: file });
      const header = headerIn(file, texts[headerKey]);
      if (header.shard.index !== index || header.shard.count !== count)
        throw new PupilError(
          'bad-data',
          `${file}: holds the part of shard ${header.shard.index} of ${header.shard.count}; delete it and do its ` +
            'shard again',
        );
      return { file, groups, header };
    },
    async rows({ file, groups }, group, columns) {
      const from = groups.slice(0, group).reduce((a, b) => a + b, 0);
      return call<PartRow[]>({ path: file, rows: { from, to: from + groups[group]!, columns } });
    },
    close: () => thread.end(),
  };
}

const damaged = (file: string, reason: string, cause?: unknown): PupilError =>
  new PupilError('bad-data', `${file}: not a readable part (${reason}); delete it and do its shard again`, { cause });

function headerIn(file: string, text: string | undefined): PartHeader {
  let json: unknown;
  try {
    json = JSON.parse(text ?? 'null');
  } catch (error) {
    throw damaged(file, reasonOf(error), error);
  }
  const read = v.safeParse(headerSchema, json);
  if (!read.success) throw damaged(file, text === undefined ? 'no shard of Pupil wrote it' : read.issues[0].message);
  return read.output;
}

/** All parts of one result. */
export interface Parts extends AsyncDisposable {
  readonly headers: readonly PartHeader[];
  /** Rows of all parts. */
  readonly count: number;
  /** The rows in their order, some together; only these columns of them. */
  rows(columns: readonly string[]): AsyncGenerator<{ readonly header: PartHeader; readonly rows: PartRow[] }, void>;
  close(): Promise<void>;
}

interface PartsOptions {
  /** What each is the work of, in words. Default: shards. */
  readonly of?: 'shards' | 'seeds';
  /** What that of an index is called; `there`: the header of one that is there. Default: the index. */
  readonly nameOf?: (index: number, there: PartHeader) => number;
}

/**
 * Opens the parts of a command in a folder. Throws `not-found` where some are missing, `bad-data` where
 * they do not agree.
 */
export async function openParts(folder: string, command: string, options: PartsOptions = {}): Promise<Parts> {
  // What processes left that were killed; others may have completed their shards since.
  await sweepDrafts(folder);
  const found = await listParts(folder).catch((error: unknown) => {
    throw new PupilError('not-found', `${folder}: ${reasonOf(error)}; give the folder that the shards wrote into`, {
      option: 'merge',
      cause: error,
    });
  });
  const first = found[0];
  if (first === undefined)
    throw new PupilError('not-found', `${folder}: no parts there; do the shards first, with \`shard: 1/n\` and on`, {
      option: 'merge',
    });
  const other = found.find(({ count }) => count !== first.count);
  if (other !== undefined)
    throw new PupilError(
      'bad-data',
      `${folder}: parts of ${first.count} shards and of ${other.count}; move one kind away`,
      { option: 'merge' },
    );
  const reader = createReader();
  try {
    const missing = Array.from({ length: first.count }, (_, i) => i + 1).filter(
      (wanted) => !found.some(({ index }) => index === wanted),
    );
    if (missing.length > 0) throw incomplete(folder, missing, (await reader.open(folder, first)).header, options);
    const parts: OpenPart[] = [];
    for (let index = 1; index <= first.count; index++)
      parts.push(await reader.open(folder, { index, count: first.count }));
    for (const part of parts) assertAgreement(parts[0]!, part, command);
    const close = (): Promise<void> => reader.close();
    return {
      headers: parts.map(({ header }) => header),
      count: parts.reduce((sum, { groups }) => sum + groups.reduce((a, b) => a + b, 0), 0),
      async *rows(columns) {
        for (const part of parts)
          for (const group of part.groups.keys())
            yield { header: part.header, rows: await reader.rows(part, group, columns) };
      },
      close,
      [asyncDispose]: close,
    };
  } catch (error) {
    await reader.close();
    throw error;
  }
}

/** `there`: the header of a part that is there. */
function incomplete(
  folder: string,
  missing: readonly number[],
  there: PartHeader,
  { of = 'shards', nameOf = (index) => index }: PartsOptions,
): PupilError {
  const { count } = there.shard,
    isOne = missing.length === 1;
  const names = missing.map((index) => String(nameOf(index, there)));
  return new PupilError(
    'not-found',
    `${folder}: of ${count} ${of} ${isOne ? 'one is' : `${missing.length} are`} missing: ${list(names, 10)}; ` +
      (of === 'shards'
        ? `do ${isOne ? 'it' : 'them'} again, such as \`shard: ${missing[0]!}/${count}\``
        : 'start the shards again, each leaves what is done'),
    { option: 'merge' },
  );
}

/** Throws `bad-data` where two parts are not of one result, with what differs. */
function assertAgreement(first: OpenPart, part: OpenPart, command: string): void {
  const { header, file } = part;
  if (header.command !== command)
    throw new PupilError('bad-data', `${file}: a part of pupil ${header.command}; merge it with that command`, {
      option: 'merge',
    });
  const difference = differenceOf(first.header.inputs, header.inputs);
  if (difference === undefined) return;
  throw new PupilError(
    'bad-data',
    `${file}: made ${difference}, unlike ${first.file}; do one of them again, or merge them apart`,
    { option: 'merge' },
  );
}

/** Options that name images which every shard looks at: parts keep how many places each names, and `shared`. */
export const besideOptions: readonly string[] = ['exclude', 'like'];

/** What differs between the inputs of two parts, in words; undefined where they are the same. */
export function differenceOf(one: PartInputs, other: PartInputs): string | undefined {
  if (hashOfInputs(one) === hashOfInputs(other)) return undefined;
  if (one.version !== other.version) return `by Pupil ${other.version} instead of ${one.version}`;
  if (one.teacher !== other.teacher) return 'with another model';
  if (one.images !== other.images) return `from other images (${other.images} instead of ${one.images})`;
  if (one.data !== other.data) return 'from other images';
  const names = new Set([...Object.keys(one.options), ...Object.keys(other.options)]);
  const name = [...names].find((key) => JSON.stringify(one.options[key]) !== JSON.stringify(other.options[key]));
  if (name === undefined || besideOptions.includes(name)) {
    const others = name === undefined ? besideOptions.filter((key) => key in one.options) : [name];
    return `with other images in ${list(others.map((key) => `\`${key}\``))}`;
  }
  return `with \`${name}: ${JSON.stringify(other.options[name] ?? 'its default')}\``;
}
