/** What every command does with a shard: choose it, leave alone what is done, write its part. */
import { performance } from 'node:perf_hooks';
import {
  besideOptions,
  differenceOf,
  findPart,
  partFile,
  readPart,
  writePart,
  type PartHeader,
  type PartInputs,
  type PartRow,
  type Parts,
  type PartWriter,
} from '../../artifact/parts.js';
import type { ParquetColumn } from '../../artifact/parquet-writer.js';
import { ContentHash, hashOfContents, stampOf } from '../../data/contents.js';
import { counted } from '../../data/dataset.js';
import { hashOfNames, type ListedFile } from '../../data/listing.js';
import type { Unreadable } from '../../data/sample.js';
import { PupilError } from '../../errors.js';
import { shownPlaces } from '../../http/address.js';
import { omit } from '../../options/option.js';
import type { Shard, ShardChoice } from '../../options/shards.js';
import type { RunEvent } from '../../runs/events.js';
import { reporting } from '../../runs/relay.js';
import { version } from '../../version.js';
import { skippedOf } from '../images.js';
import { chooseShard, partOf } from './which.js';

/** What a shard prints as JSON. */
export interface ShardResult {
  readonly shard: Shard;
  /** Its part. */
  readonly file: string;
  /** Images with a result in it. */
  readonly images: number;
  /** Files that cannot be read or decoded. */
  readonly skipped: readonly Unreadable[];
  /** Whether the part was there already. */
  readonly isDone: boolean;
  readonly seconds: number;
}

/**
 * What differs between the commands that label, look at or measure images in shards: options that change with the
 * machine. The network is known by its hash, wherever it lies.
 */
const commands = {
  'pseudo-label': { machine: ['out', 'model', 'engine', 'threads', 'workers', 'signal'] },
  'features': { machine: ['out', 'model', 'engine', 'threads', 'workers', 'signal'] },
  'predict': { machine: ['out', 'csv', 'top', 'engine', 'threads', 'signal'] },
  'evaluate': { machine: ['out', 'engine', 'threads', 'workers', 'signal'] },
} as const satisfies Readonly<Record<string, { readonly machine: readonly string[] }>>;

/** What tells whether images are those of before. */
export interface Contents {
  /** What their contents are known by without reading them, as `stampOf` says it. */
  stamp(): Promise<string | undefined>;
  /** Hash of their contents. */
  hash(report: (done: number, total: number) => void): Promise<string>;
}

/** The images that a command divides. */
interface Divided<Item> {
  readonly items: readonly Item[];
  /** Of their names and order. */
  readonly hash: string;
  /** Fewer are not divided. */
  readonly least?: number | undefined;
  /** Of some of them. */
  readonly contentsOf: (items: readonly Item[]) => Contents;
}

/** Files as they were listed. */
export const divided = ({ files }: { readonly files: readonly ListedFile[] }, least?: number): Divided<ListedFile> => ({
  items: files,
  hash: hashOfNames(files),
  least,
  contentsOf: contentsOfFiles,
});

const contentsOfFiles = (files: readonly ListedFile[]): Contents => ({
  stamp: () => stampOf(files),
  hash: (report) => hashOfContents(files, report),
});

interface Beginning<Item, Network> {
  readonly choice: ShardChoice;
  readonly options: { readonly out?: string | undefined };
  /** Lists the images. */
  readonly list: () => Promise<Divided<Item>>;
  /** Of images that every shard looks at beside its own. */
  readonly shared?: Contents | undefined;
  /** Reads the network, and hashes what decides its results. */
  readonly read: () => AsyncGenerator<RunEvent, { readonly network: Network; readonly hash: string }, undefined>;
}

/** A shard that has begun: it was done before, or this is what it does. */
type BegunShard<Item, Network> =
  | { readonly before: ShardResult }
  | {
      readonly before: undefined;
      readonly place: ShardPlace;
      readonly from: PartSource;
      readonly network: Network;
      /** Its images, and how many all shards have. */
      readonly own: readonly Item[];
      readonly total: number;
    };

/** What a part is made from. */
export interface PartSource {
  readonly inputs: PartInputs;
  /** Of its own images, and of those that all shards look at: before any was looked at. */
  readonly stamps: Readonly<Record<'own' | 'shared', string | undefined>>;
}

/** How every shard begins: chooses, lists, describes, hashes, and looks for its part. */
export async function* beginShard<Item, Network>(
  command: keyof typeof commands,
  { choice, options, list, shared: besides, read }: Beginning<Item, Network>,
): AsyncGenerator<RunEvent, BegunShard<Item, Network>, undefined> {
  const shard = chooseShard(choice);
  const place = { command, shard, folder: folderOf(command, options.out) };
  const { items, hash: data, least, contentsOf } = await list();
  const total = items.length;
  const own = items.slice(...partOf(total, shard, least));
  yield { type: 'note', message: describeShard(shard, own.length, total) };
  const { network, hash: teacher } = yield* read();
  const told: Readonly<Record<string, unknown>> = shownPlaces(options);
  const header = await findPart(place.folder, shard);
  const shared = yield* look(besides, {
    stamp: header?.notes['sharedStamp'],
    hash: header?.inputs.shared,
  });
  const inputs = {
    ...{ version, teacher, data, images: total, shared: shared.hash },
    options: withoutPlaces(omit(told, commands[command].machine)),
  };
  const contents = contentsOf(own);
  const before = header && (yield* doneBefore(place, header, inputs, contents));
  if (before !== undefined) return { before };
  const stamps = { own: await contents.stamp(), shared: shared.stamp };
  return { before, place, from: { inputs, stamps }, network, own, total };
}

/** Options as parts keep them: images that options name are known by their contents, wherever they lie. */
const withoutPlaces = (options: PartInputs['options']): PartInputs['options'] =>
  Object.fromEntries(
    Object.entries(options).map(([name, value]) => [
      name,
      besideOptions.includes(name) && Array.isArray(value) ? value.length : value,
    ]),
  );

/** What images contain, which are read where they may not be as they were `before`. */
async function* look(
  contents: Contents | undefined,
  before: { readonly stamp: unknown; readonly hash: unknown },
): AsyncGenerator<RunEvent, { readonly stamp?: string | undefined; readonly hash?: string | undefined }, undefined> {
  if (contents === undefined) return {};
  const stamp = await contents.stamp();
  if (stamp !== undefined && stamp === before.stamp && typeof before.hash === 'string')
    return { stamp, hash: before.hash };
  return { stamp, hash: yield* reporting('comparing', 'images', (report) => contents.hash(report)) };
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
 * The result of a shard that was done before from the same inputs; undefined where its images were replaced since. Both
 * are told. Throws `exists` for a part that was made from other inputs.
 */
async function* doneBefore(
  { shard, folder }: ShardPlace,
  { inputs: made, notes }: PartHeader,
  inputs: PartInputs,
  contents: Contents,
): AsyncGenerator<RunEvent, ShardResult | undefined, undefined> {
  const file = partFile(folder, shard);
  assertSameInputs(file, { inputs: made }, inputs);
  const { hash } = yield* look(contents, { stamp: notes['stamp'], hash: notes['contents'] });
  if (hash !== notes['contents']) {
    yield { type: 'note', message: `${file} was made from images that were replaced since; it is made anew` };
    return undefined;
  }
  yield { type: 'note', message: `${file} is there already` };
  const { images, unreadable } = notes;
  const skipped: Unreadable[] = [];
  if (unreadable !== 0)
    for await (const rows of readPart(folder, shard, ['path', 'problem'])) skipped.push(...problemsIn(rows));
  return { shard, file, images: isCount(images) ? images : 0, skipped: skippedOf(skipped), isDone: true, seconds: 0 };
}

/** Files that have no result. */
const problemsIn = (rows: readonly PartRow[]): Unreadable[] =>
  rows.flatMap(({ path, problem }) => (typeof problem === 'string' ? [{ path: String(path), reason: problem }] : []));

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
  readonly from: PartSource;
  readonly engine: string;
  readonly columns: readonly ParquetColumn[];
  /**
   * Adds the rows, and what the images contain to `contents`, unless it returns that; files without a result are rows
   * with a `problem`. Returns the count of the result, and what else the merge has to know.
   */
  readonly work: (
    writer: PartWriter,
    contents: ContentHash,
  ) => Promise<PartHeader['notes'] & { readonly images: number; readonly contents?: string }>;
}

/** Does a shard's work and writes its part. Another process that does the same writes the same. */
export async function doShard(
  { command, shard, folder }: ShardPlace,
  { from: { inputs, stamps }, engine, columns, work }: PartWork,
): Promise<ShardResult> {
  const started = performance.now();
  let images = 0;
  const skipped: Unreadable[] = [];
  await writePart(folder, { command, shard, inputs, engine }, columns, async (writer) => {
    const contents = new ContentHash();
    const notes = await work(
      {
        add(rows) {
          rows.forEach(assertWasThere);
          skipped.push(...problemsIn(rows));
          return writer.add(rows);
        },
      },
      contents,
    );
    ({ images } = notes);
    const seen = { contents: contents.digest(), stamp: stamps.own, sharedStamp: stamps.shared };
    return { unreadable: skipped.length, ...seen, ...notes };
  });
  const seconds = (performance.now() - started) / 1000;
  return { shard, file: partFile(folder, shard), images, skipped: skippedOf(skipped), isDone: false, seconds };
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
