/** The work that loader workers do; the same functions run in the calling thread when there are no workers. */
import { buildPipeline, runPipeline, type Pipeline, type PipelineSpec } from '../augment/pipeline.js';
import { invariant, PupilError } from '../errors.js';
import { decode } from '../image/decode.js';
import type { Image } from '../image/image.js';
import { Random } from '../random.js';
import { readCached, writeCached } from './disk-cache.js';
import { readSource, reasonOf } from './read.js';
import type { Source } from './sample.js';
import { toTarget, type Target } from './target.js';

/** Where a prepared image is: in shared memory, in a file of the cache, or only at its source. */
export type Location =
  | { readonly kind: 'memory'; readonly pixels: SharedArrayBuffer; readonly offset: number; readonly width: number; readonly height: number }
  | { readonly kind: 'disk'; readonly file: string; readonly item: Item }
  | { readonly kind: 'source'; readonly item: Item };

/** An image to be decoded. */
export interface Item {
  readonly path: string;
  readonly source: Source;
}

export interface DecodeTask {
  readonly kind: 'decode';
  readonly items: readonly Item[];
  /** Without a target images are only decoded and measured. */
  readonly target?: Target;
  /** Files of the disk cache, one an item: pixels are kept there instead of being returned. */
  readonly files?: readonly string[];
}

/** What became of one item: its size (as decoded without a target), and the pixels at the target or the bytes that they take on disk. */
export type Decoded =
  | { readonly error: string }
  | { readonly width: number; readonly height: number; readonly image?: Image; readonly stored?: number };

export interface BatchTask {
  readonly kind: 'batch';
  readonly images: readonly Location[];
  readonly target: Target;
  readonly pipeline: PipelineSpec;
  readonly width: number;
  readonly height: number;
  readonly seed: number;
  readonly epoch: number;
  /** Position of the first image within the epoch. */
  readonly position: number;
}

export type Task = DecodeTask | BatchTask;
export type ResultOf<T extends Task> = T extends DecodeTask ? Decoded[] : Uint8Array;

/** Does one task; `transfer` collects the buffers that can be handed over instead of copied. */
export async function execute<T extends Task>(task: T, transfer: ArrayBuffer[] = []): Promise<ResultOf<T>> {
  const result = task.kind === 'decode' ? await decodeItems(task, transfer) : await makeBatch(task, transfer);
  return result as ResultOf<T>;
}

async function pixelsOf({ source, path }: Item): Promise<Image> {
  return source.kind === 'pixels' ? source.image : decode(await readSource(source, path), path);
}

async function decodeItems({ items, target, files }: DecodeTask, transfer: ArrayBuffer[]): Promise<Decoded[]> {
  const results: Decoded[] = new Array<Decoded>(items.length);
  const one = async (item: Item, file: string | undefined): Promise<Decoded> => {
    try {
      if (file !== undefined) {
        const cached = await readCached(file);
        if (cached !== undefined) return { width: cached.width, height: cached.height, stored: cached.data.length };
      }
      const { width, height, data } = await pixelsOf(item);
      if (target === undefined) return { width, height };
      const image = toTarget({ width, height, data }, target);
      if (file !== undefined && await writeCached(file, image)) return { width, height, stored: image.data.length };
      if (file !== undefined) return { width, height };
      // A decoder's buffer may be part of a shared pool: hand over a buffer of exactly these pixels.
      const own = image.data.buffer instanceof ArrayBuffer && image.data.byteLength === image.data.buffer.byteLength && item.source.kind !== 'pixels'
        ? image.data : new Uint8Array(image.data);
      transfer.push(own.buffer as ArrayBuffer);
      return { width, height, image: { width: image.width, height: image.height, data: own } };
    } catch (error) {
      if (error instanceof PupilError && error.code === 'bad-data') {
        const prefix = new PupilError('bad-data', `${item.path}: `).message; // on one line, as the message is
        return { error: error.message.startsWith(prefix) ? error.message.slice(prefix.length) : error.message };
      }
      throw error;
    }
  };
  // Two lanes: one image is read and decoded by the codec's threads while the other is resized here.
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < items.length) {
      const index = next++;
      results[index] = await one(items[index]!, files?.[index]);
    }
  };
  await Promise.all([lane(), lane()]);
  return results;
}

async function imageAt(location: Location, target: Target): Promise<Image> {
  if (location.kind === 'memory') {
    const { width, height, offset, pixels } = location;
    // A copy out of shared memory: kernels that see one kind of array stay twice as fast.
    return { width, height, data: new Uint8Array(pixels, offset, width * height * 3).slice() };
  }
  if (location.kind === 'disk') {
    const cached = await readCached(location.file);
    if (cached !== undefined) return cached;
  }
  try {
    return toTarget(await pixelsOf(location.item), target);
  } catch (error) {
    throw new PupilError('bad-data', `${location.item.path}: could be decoded before and no longer can (${reasonOf(error)}); has the file changed?`, { cause: error });
  }
}

let lastPipeline: { key: string; pipeline: Pipeline } | undefined;

async function makeBatch(task: BatchTask, transfer: ArrayBuffer[]): Promise<Uint8Array> {
  const { images, target, width, height, seed, epoch, position } = task;
  const key = JSON.stringify(task.pipeline);
  if (lastPipeline?.key !== key) lastPipeline = { key, pipeline: buildPipeline(task.pipeline) };
  const { pipeline } = lastPipeline;
  const size = width * height * 3;
  const buffer = new ArrayBuffer(images.length * size);
  const pixels = new Uint8Array(buffer);
  for (const [i, location] of images.entries()) {
    const image = runPipeline(pipeline, await imageAt(location, target), new Random(seed, 'augment', epoch, position + i));
    invariant(image.width === width && image.height === height, `the pipeline made ${image.width}x${image.height}, not ${width}x${height}`);
    pixels.set(image.data, i * size);
  }
  transfer.push(buffer);
  return pixels;
}
