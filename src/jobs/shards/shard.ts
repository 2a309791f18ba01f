/** What every command does with a shard: choose it, leave alone what is done, write its part. */
import { performance } from 'node:perf_hooks';
import {
  differenceOf,
  findPart,
  partFile,
  writePart,
  type PartHeader,
  type PartInputs,
  type PartRow,
  type Parts,
  type PartWriter,
} from '../../artifact/parts.js';
import type { ParquetColumn } from '../../artifact/parquet-writer.js';
import { counted } from '../../data/dataset.js';
import { hashOfNames, type ListedFile } from '../../data/listing.js';
import { PupilError } from '../../errors.js';
import { shownPlaces } from '../../http/address.js';
import { omit } from '../../options/option.js';
import type { Shard, ShardChoice } from '../../options/shards.js';
import type { RunEvent } from '../../runs/events.js';
import { version } from '../../version.js';
import { chooseShard, partOf } from './which.js';

/** What a shard prints as JSON. */
export interface ShardResult {
  readonly shard: Shard;
  /** Its part. */
  readonly file: string;
  /** Images with a result in it, and files that have none. */
  readonly images: number;
  readonly unreadable: number;
  /** Whether the part was there already. */
  readonly isDone: boolean;
  readonly seconds: number;
}

/** What differs between the commands that label, look at or measure images in shards. */
const commands = {
  'pseudo-label': { machine: ['out', 'engine', 'threads', 'workers', 'signal'] },
  'features': { machine: ['out', 'engine', 'threads', 'workers', 'signal'] },
  'predict': { machine: ['out', 'csv', 'top', 'engine', 'threads', 'signal'] },
  'evaluate': { machine: ['out', 'engine', 'threads', 'workers', 'signal'] },
} as const satisfies Readonly<Record<string, { readonly machine: readonly string[] }>>;

/** The images that a command divides. */
interface Divided<Item> {
  readonly items: readonly Item[];
  /** Of their names and order. */
  readonly hash: string;
  /** Fewer are not divided. */
  readonly least?: number | undefined;
}

/** Files as they were listed. */
export const divided = ({ files }: { readonly files: readonly ListedFile[] }, least?: number): Divided<ListedFile> => ({
  items: files,
  hash: hashOfNames(files),
  least,
});

interface Beginning<Item, Network> {
  readonly choice: ShardChoice;
  readonly options: { readonly out?: string | undefined };
  /** Lists the images. */
  readonly list: () => Promise<Divided<Item>>;
  /** Reads the network, and hashes what decides its results. */
  readonly read: () => AsyncGenerator<RunEvent, { readonly network: Network; readonly hash: string }, undefined>;
}

/** A shard that has begun: it was done before, or this is what it does. */
type BegunShard<Item, Network> =
  | { readonly before: ShardResult }
  | {
      readonly before: undefined;
      readonly place: ShardPlace;
      readonly inputs: PartInputs;
      readonly network: Network;
      /** Its images, and how many all shards have. */
      readonly own: readonly Item[];
      readonly total: number;
    };

/** How every shard begins: chooses, lists, describes, hashes, and looks for its part. */
export async function* beginShard<Item, Network>(
  command: keyof typeof commands,
  { choice, options, list, read }: Beginning<Item, Network>,
): AsyncGenerator<RunEvent, BegunShard<Item, Network>, undefined> {
  const shard = chooseShard(choice);
  const place = { command, shard, folder: folderOf(command, options.out) };
  const { items, hash: data, least } = await list();
  const total = items.length;
  const own = items.slice(...partOf(total, shard, least));
  yield { type: 'note', message: describeShard(shard, own.length, total) };
  const { network, hash: teacher } = yield* read();
  const told: Readonly<Record<string, unknown>> = shownPlaces(options);
  const inputs = { version, teacher, data, images: total, options: omit(told, commands[command].machine) };
  const before = yield* doneBefore(place, inputs);
  return before === undefined ? { before, place, inputs, network, own, total } : { before };
}

/** A shard and where its part goes. */
export interface ShardPlace {
  readonly command: string;
  readonly shard: Shard;
  readonly folder: string;
}

/** The folder of parts. Throws `usage` where none is named. */
export function folderOf(command: string, out: string | undefined): string {
  if (out !== undefined) return out;
  throw new PupilError(
    'usage',
    `${command} with \`shard\` needs \`out: FOLDER\`, into which every shard writes its part`,
    {
      option: 'out',
    },
  );
}

/** `shard 3 of 8: 1,250 of 10,000 images`. */
const describeShard = ({ index, count }: Shard, own: number, all: number): string =>
  `shard ${index} of ${count}: ${own.toLocaleString('en')} of ${counted(all, 'image')}`;

const isCount = (value: unknown): value is number => typeof value === 'number';

/**
 * The result of a shard that was done before from the same inputs, which is told; undefined where it was not.
 * Throws `exists` for a part that was made from others.
 */
async function* doneBefore(
  { shard, folder }: ShardPlace,
  inputs: PartInputs,
): AsyncGenerator<RunEvent, ShardResult | undefined, undefined> {
  const header = await findPart(folder, shard);
  if (header === undefined) return undefined;
  const file = partFile(folder, shard);
  assertSameInputs(file, header, inputs);
  yield { type: 'note', message: `${file} is there already` };
  const { images, unreadable } = header.notes;
  return {
    shard,
    file,
    images: isCount(images) ? images : 0,
    unreadable: isCount(unreadable) ? unreadable : 0,
    isDone: true,
    seconds: 0,
  };
}

/** Throws `exists` for a part that was made from other inputs. */
export function assertSameInputs(file: string, header: Pick<PartHeader, 'inputs'>, inputs: PartInputs): void {
  const difference = differenceOf(inputs, header.inputs);
  if (difference === undefined) return;
  throw new PupilError(
    'exists',
    `${file} was made ${difference}; choose another \`out\`, or delete it to make it anew`,
    { option: 'out' },
  );
}

export interface PartWork {
  readonly inputs: PartInputs;
  readonly engine: string;
  readonly columns: readonly ParquetColumn[];
  /** Adds the rows; returns the counts of the result, and what else the merge has to know. */
  readonly work: (
    writer: PartWriter,
  ) => Promise<PartHeader['notes'] & { readonly images: number; readonly unreadable: number }>;
}

/** Does a shard's work and writes its part. Another process that does the same writes the same. */
export async function doShard(
  { command, shard, folder }: ShardPlace,
  { inputs, engine, columns, work }: PartWork,
): Promise<ShardResult> {
  const started = performance.now();
  let images = 0,
    unreadable = 0;
  await writePart(folder, { command, shard, inputs, engine }, columns, async (writer) => {
    const notes = await work({
      add(rows) {
        rows.forEach(assertWasThere);
        return writer.add(rows);
      },
    });
    ({ images, unreadable } = notes);
    return notes;
  });
  const seconds = (performance.now() - started) / 1000;
  return { shard, file: partFile(folder, shard), images, unreadable, isDone: false, seconds };
}

/**
 * Throws `io` for an image that cannot be read because the disk or the share is gone: a part would call it
 * damaged for ever.
 */
function assertWasThere({ path, problem }: PartRow): void {
  if (typeof problem !== 'string' || !/\b(EIO|ESTALE|ENOTCONN|EHOSTDOWN|ETIMEDOUT|EMFILE|ENFILE)\b/.test(problem))
    return;
  throw new PupilError(
    'io',
    `${String(path)}: ${problem}: the disk or the share is gone; run again when it is back, or take the file away`,
  );
}

/** Warns where parts were computed by different engines. */
export function* warnOfEngines(headers: readonly PartHeader[]): Generator<RunEvent, void, undefined> {
  const engines = [...new Set(headers.map(({ engine }) => engine))];
  if (engines.length < 2) return;
  yield {
    type: 'warning',
    message:
      `the parts were computed by ${engines.join(' and ')}, which round otherwise: the last digits of some ` +
      'confidences depend on the shard; give `engine` to have one compute all',
  };
}

/** Float32 numbers as a part has them: little endian. */
export const bytesOf = (numbers: Float32Array): Uint8Array =>
  new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength);

/** Texts in the notes of a part. */
export const textsOf = (value: unknown): string[] => (Array.isArray(value) ? value.map(String) : []);

export function floatsOf(bytes: unknown): Float32Array {
  if (!(bytes instanceof Uint8Array)) throw new PupilError('bad-data', 'a part lacks the numbers of a row');
  return new Float32Array(bytes.slice().buffer);
}

/** Visits all rows of all parts in their order; only these columns of them. */
export async function eachRow(
  parts: Parts,
  names: readonly string[],
  signal: AbortSignal | undefined,
  visit: (row: PartRow) => void,
): Promise<void> {
  for await (const { rows } of parts.rows(names)) {
    signal?.throwIfAborted();
    for (const row of rows) visit(row);
  }
}
