/**
 * The work that loader workers do; the same functions run in the calling thread when there are no
 * workers.
 */
import { existsSync } from 'node:fs';
import { PupilError, withoutPath } from '../errors.js';
import { allocate, release } from '../image/buffers.js';
import { contrast } from '../image/contrast.js';
import { openImage, type Divisor, type EncodedImage } from '../image/decode.js';
import type { Image, Size } from '../image/image.js';
import { bytesOf, makeBatch, type BatchTask, type Item, type Location, type Placed } from './batch.js';
import { readCached, writeCached } from './disk-cache.js';
import { fingerprint, fingerprintShort, type Fingerprint } from './fingerprint.js';
import { createReader, reasonOf, type Reader } from './read.js';
import { createRoom, roomLimit, withRoom, type Place, type Room } from './room.js';
import type { DistantSource, LocalSource } from './sample.js';
import { toTarget, type Target } from './target.js';

/** A size at which an image is to be had. */
export interface OutputRequest {
  readonly target: Target;
  /** Its file in the disk cache: read where it is there, else written; undefined: the cache is left alone. */
  readonly file?: string | undefined;
  /** Its pixels stay in the file and are not returned. */
  readonly onlyFile?: boolean | undefined;
  /** Made only where the image is decoded for something else. */
  readonly optional?: boolean | undefined;
}

export interface DecodeTask {
  readonly kind: 'decode';
  /** Without outputs an item is only decoded and measured. */
  readonly items: readonly (Item & {
    readonly outputs?: readonly OutputRequest[];
    /**
     * Its fingerprint is wanted: `required`, or where it has to be decoded anyway (as without required
     * outputs it is).
     */
    readonly print?: boolean | 'required' | undefined;
    /** Its contrast is wanted, too, although there are outputs. */
    readonly measure?: boolean | undefined;
  })[];
  /** Without required outputs: items are decoded only as large as their fingerprints need. */
  readonly printsOnly?: boolean | undefined;
}

/** An output: its pixels, unless they stay in the file, and the bytes that it takes on disk, if it does. */
export interface Output {
  readonly image?: Image | undefined;
  readonly stored?: number | undefined;
}

/**
 * What became of one item: its size in pixels, and its outputs in the order of the requests. The
 * size is absent when all were in the disk cache already.
 */
export type Decoded =
  | { readonly error: string }
  | {
      readonly size?: Size;
      readonly outputs: readonly Output[];
      /** `contrast` of an item that is measured. */
      readonly contrast?: number | undefined;
      readonly print?: Fingerprint | undefined;
    };

/** `room` is that of all threads of a pool; default: the calling thread's. */
export type Task = (DecodeTask | BatchTask) & { readonly room?: Room | undefined };
export type ResultOf<T extends Task> = T extends DecodeTask ? Decoded[] : Uint8Array;

/** For tasks that share no room with other threads. */
const ownRoom = createRoom();

/** Does one task; `transfer` collects the buffers that can be handed over instead of copied. */
export async function execute<T extends Task>(task: T, transfer: ArrayBuffer[] = []): Promise<ResultOf<T>> {
  const result = task.kind === 'decode' ? await decodeItems(task, transfer) : await makeBatchHere(task, transfer);
  return result as ResultOf<T>;
}

const openItem = async (reader: Reader, { source, path }: Item): Promise<EncodedImage> =>
  source.kind === 'pixels'
    ? { ...source.image, divisor: () => 1, decode: () => Promise.resolve(source.image), memory: () => 0 }
    : openImage(reader.read(localSource(source, path), path), path);

/** What is on a host or packed has been brought before (`arrived`), unless a copy of it in the cache was lost since. */
function localSource(source: LocalSource | DistantSource, path: string): LocalSource {
  if (source.kind !== 'remote' && source.kind !== 'cell') return source;
  throw new PupilError('bad-data', `${path}: its copy in the cache is gone; run the same command again`);
}

/** Bytes of a file that is read only while no other picture takes memory; smaller ones do not count. */
const largeFile = 2 * 2 ** 20;

/** An opened item, and the room for each of its pictures. */
interface Opened {
  readonly encoded: EncodedImage;
  /** Decodes it; whoever calls lets go of it before the next. */
  decode(divisor: Divisor): Promise<Image>;
}

/** Opens an item; a large file has all room while it is read, then as much as its header says that it takes. */
async function withItem<T>(
  item: Item,
  { reader, room }: { readonly reader: Reader; readonly room: Room },
  work: (opened: Opened) => Promise<T>,
): Promise<T> {
  const { source, path } = item;
  const size = source.kind === 'pixels' ? 0 : reader.size(localSource(source, path));
  const kept = size >= largeFile ? size : 0;
  return withRoom(room, kept === 0 ? 0 : roomLimit * 1024, async (place: Place) => {
    const encoded = await openItem(reader, item);
    return work({
      encoded,
      async decode(divisor) {
        await place.resize(kept + encoded.memory(divisor));
        return encoded.decode(divisor);
      },
    });
  });
}

/**
 * By how much the picture is made smaller while it is decoded: training images may be, those to be
 * measured on are decoded as they will be in use.
 */
const divisorFor = (encoded: EncodedImage, target: Target): Divisor =>
  target.kind === 'working' ? encoded.divisor(target.short) : 1;

/** An output that is a file already, and whole. */
function cachedOutput({ file, onlyFile }: OutputRequest, transfer: ArrayBuffer[]): Output | undefined {
  const cached = file === undefined ? undefined : readCached(file);
  if (cached === undefined) return undefined;
  try {
    return { stored: cached.data.length, image: onlyFile ? undefined : copyOf(cached, transfer) };
  } finally {
    release(cached.data);
  }
}

/**
 * The outputs of an item that are files already, those that are optional left out; whether it has to be decoded
 * for what is wanted besides.
 */
function cachedOutputs(
  { outputs: requests = [], print, measure }: DecodeTask['items'][number],
  transfer: ArrayBuffer[],
): { readonly found: (Output | undefined)[]; readonly isEnough: boolean } {
  const found = requests.map((request) => (request.optional ? undefined : cachedOutput(request, transfer)));
  const required = requests.filter(({ optional }) => !optional).length;
  const isEnough = required > 0 && print !== 'required' && !measure && required === found.filter(Boolean).length;
  return { found, isEnough };
}

/** The image in a buffer of its own, which can be handed over. */
function copyOf({ width, height, data }: Image, transfer: ArrayBuffer[]): Image {
  const own = Uint8Array.prototype.slice.call(data); // a Buffer's own method copies nothing
  transfer.push(own.buffer);
  return { width, height, data: own };
}

/**
 * The outputs of an item that were not `found`, each from pixels at the scale that its target wants, and its
 * fingerprint.
 */
async function outputsOf(
  item: DecodeTask['items'][number],
  { encoded, decode }: Opened,
  {
    found,
    transfer,
    printsOnly,
  }: {
    readonly found: readonly (Output | undefined)[];
    readonly transfer: ArrayBuffer[];
    readonly printsOnly: boolean;
  },
): Promise<Extract<Decoded, { outputs: unknown }>> {
  let range: number | undefined, print: Fingerprint | undefined;
  const { outputs: requests = [] } = item;
  const outputs = requests.map((_, i): Output => found[i] ?? {});
  const divisors = requests.map(({ target, file, optional }, i) =>
    found[i] !== undefined || (optional && file !== undefined && existsSync(file))
      ? undefined
      : divisorFor(encoded, target),
  );
  const forPrint = item.print ? encoded.divisor(fingerprintShort) : undefined;
  const isMeasured = (requests.length === 0 && !printsOnly) || item.measure;
  const made = async (decoded: Image, { target, file, onlyFile }: OutputRequest): Promise<Output> => {
    const image = toTarget(decoded, target);
    try {
      const stored = file !== undefined && (await writeCached(file, image)) ? image.data.length : undefined;
      return { stored, image: onlyFile ? undefined : copyOf(image, transfer) };
    } finally {
      if (image.data !== decoded.data) release(image.data);
    }
  };
  const look = async (divisor: Divisor): Promise<void> => {
    const decoded = await decode(divisor);
    if (isMeasured && divisor === 1) range = contrast(decoded);
    if (divisor === forPrint) print = fingerprint(decoded);
    for (const [i, request] of requests.entries())
      if (divisors[i] === divisor) outputs[i] = await made(decoded, request);
    if (item.source.kind !== 'pixels') release(decoded.data);
  };
  for (const divisor of new Set<Divisor | undefined>([...divisors, isMeasured ? 1 : undefined, forPrint]))
    if (divisor !== undefined) await look(divisor);
  const { width, height } = encoded;
  return { size: { width, height }, outputs, contrast: range, print };
}

async function decodeItems(
  { items, printsOnly = false, room = ownRoom }: DecodeTask & Pick<Task, 'room'>,
  transfer: ArrayBuffer[],
): Promise<Decoded[]> {
  const results: Decoded[] = new Array<Decoded>(items.length);
  const reader = createReader();
  const one = async (item: DecodeTask['items'][number]): Promise<Decoded> => {
    try {
      const { found, isEnough } = cachedOutputs(item, transfer);
      if (isEnough) return { outputs: found.map((output) => output ?? {}) };
      return await withItem(item, { reader, room }, (opened) =>
        outputsOf(item, opened, { found, transfer, printsOnly }),
      );
    } catch (error) {
      if (error instanceof PupilError && error.code === 'bad-data') return { error: withoutPath(error, item.path) };
      throw error;
    }
  };
  // Two lanes: one image is read and decoded by the codec's threads while the other is resized
  // here.
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < items.length) {
      const index = next++;
      results[index] = await one(items[index]!);
    }
  };
  try {
    await Promise.all([lane(), lane()]);
  } finally {
    reader.close();
  }
  return results;
}

/** The prepared image; `owned`: its pixels are in a buffer of ours, to be released. */
async function imageAt(
  location: Location,
  target: Target,
  { reader, room }: { readonly reader: Reader; readonly room: Room },
): Promise<Placed> {
  if (location.kind === 'memory') {
    const { width, height } = location;
    // A copy out of shared memory: kernels that see one kind of array stay twice as fast.
    const data = allocate(width * height * 3);
    data.set(bytesOf(location));
    return { image: { width, height, data }, owned: true };
  }
  if (location.kind === 'disk') {
    const cached = readCached(location.file);
    if (cached !== undefined) return { image: cached, owned: true };
  }
  const { item } = location;
  try {
    return await withItem(item, { reader, room }, async ({ encoded, decode }) => {
      const decoded = await decode(divisorFor(encoded, target));
      const image = toTarget(decoded, target);
      const ours = item.source.kind !== 'pixels';
      if (ours && image.data !== decoded.data) release(decoded.data);
      return { image, owned: ours || image.data !== decoded.data };
    });
  } catch (error) {
    throw new PupilError(
      'bad-data',
      `${item.path}: could be decoded before and no longer can (${reasonOf(error)}); has the file changed?`,
      { cause: error },
    );
  }
}

async function makeBatchHere(task: BatchTask & Pick<Task, 'room'>, transfer: ArrayBuffer[]): Promise<Uint8Array> {
  const reader = createReader();
  const { target, room = ownRoom } = task;
  try {
    return await makeBatch(task, (location) => imageAt(location, target, { reader, room }), transfer);
  } finally {
    reader.close();
  }
}
