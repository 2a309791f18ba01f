/** Batches of images that are prepared: what of a loader's work needs no files. */
import { mixPixels, type Mix } from '../augment/mixing.js';
import { buildPipeline, runPipeline, type Pipeline, type PipelineSpec } from '../augment/pipeline.js';
import { PupilError } from '../errors.js';
import { release } from '../image/buffers.js';
import type { Image, Size } from '../image/image.js';
import { Random } from '../random.js';
import type { Source } from './sample.js';
import type { Target } from './target.js';

/** Where a prepared image is: in shared memory, in a file of the cache, or only at its source. */
export type Location =
  | {
      readonly kind: 'memory';
      readonly pixels: SharedArrayBuffer;
      readonly offset: number;
      readonly width: number;
      readonly height: number;
    }
  | { readonly kind: 'disk'; readonly file: string; readonly item: Item }
  | { readonly kind: 'source'; readonly item: Item };

/** An image to be decoded. */
export interface Item {
  readonly path: string;
  readonly source: Source;
}

/** Images that are read together, from one piece of an archive or table. */
export interface Reading {
  readonly images: readonly Location[];
}

export interface BatchTask {
  readonly kind: 'batch';
  readonly images: readonly Location[];
  readonly target: Target;
  readonly pipeline: PipelineSpec;
  readonly width: number;
  readonly height: number;
  readonly seed: number;
  /** Name of the random stream of the augmentation. */
  readonly view: string;
  readonly epoch: number;
  /** Positions of the images within the epoch. */
  readonly positions: readonly number[];
  /** How the finished images are mixed; null or undefined: not at all. */
  readonly mix?: Mix | null | undefined;
  /** What is to be read for this batch and those after it, in this order; read once each. */
  readonly readings?: readonly Reading[] | undefined;
  /** How many of the images are wanted, from the first on; default all: the others are only mixed in. */
  readonly wanted?: number | undefined;
}

/** A prepared image; `owned`: its pixels are in a buffer of ours, to be released. */
export interface Placed {
  readonly image: Image;
  readonly owned: boolean;
}

export const bytesOf = ({ pixels, offset, width, height }: Extract<Location, { kind: 'memory' }>): Uint8Array =>
  new Uint8Array(pixels, offset, width * height * 3);

let lastPipeline: { key: string; pipeline: Pipeline } | undefined;

/**
 * uint8 [wanted, height, width, 3]: images one after another through the pipeline, then mixed. `imageAt`
 * gives a prepared one.
 */
export async function makeBatch(
  task: BatchTask,
  imageAt: (location: Location) => Placed | Promise<Placed>,
  transfer: ArrayBuffer[] = [],
): Promise<Uint8Array> {
  const { images, width, height, seed, view, epoch, positions, mix, wanted = images.length } = task;
  const key = JSON.stringify(task.pipeline);
  if (lastPipeline?.key !== key) lastPipeline = { key, pipeline: buildPipeline(task.pipeline) };
  const { pipeline } = lastPipeline;
  const size = width * height * 3;
  const check = ({ width: w, height: h }: Size): void => {
    if (w === width && h === height) return;
    throw new PupilError(
      'usage',
      `the augmentation makes images of ${w}x${h} pixels where the model takes ${width}x${height}: ` +
        'leave sizes out of its steps, which come after the crop',
      { option: 'augment' },
    );
  };
  const buffer = new ArrayBuffer(images.length * size);
  const pixels = new Uint8Array(buffer);
  for (const [i, location] of images.entries()) {
    if (pipeline.length === 0 && location.kind === 'memory') {
      check(location);
      pixels.set(bytesOf(location), i * size);
      continue;
    }
    const { image, owned } = await imageAt(location);
    const result = runPipeline(pipeline, image, new Random(seed, view, epoch, positions[i]!));
    check(result);
    pixels.set(result.data, i * size);
    if (result.data !== image.data) release(result.data);
    if (owned) release(image.data);
  }
  if (mix) mixPixels(pixels, { width, height }, mix);
  const result = wanted === images.length ? pixels : pixels.slice(0, wanted * size);
  transfer.push(result.buffer);
  return result;
}
