/// <reference lib="esnext.disposable" preserve="true" />
import { shown } from '../arguments.js';
import type { Preprocessing } from '../data/preprocessing.js';
import { evaluationTarget, toTarget } from '../data/target.js';
import { asyncDispose } from '../dispose.js';
import { invariant, PupilError } from '../errors.js';
import { assertFinite } from './metrics.js';
import { crop, flipHorizontal } from '../image/crop.js';
import type { Image } from '../image/image.js';
import { resize } from '../image/resize.js';
import { checkOptions } from '../options/option.js';
import { pictureOptions } from '../options/pictures.js';

/** One image's answer. */
export interface Prediction {
  readonly label: string;
  /** Calibrated probability of `label`, 0 to 1. */
  readonly confidence: number;
  /**
   * Whether it is none of these: less confident than the `threshold` that was given, or an `outlier`
   * beyond what the model learned of its classes.
   */
  readonly none: boolean;
  /** How unlike the images of every class it is, 0 to 2, where the model learned that. */
  readonly outlier?: number | undefined;
  /** By class name. */
  readonly probabilities: Readonly<Record<string, number>>;
}

/** What a deployed model says of some images. */
export interface RunOutputs {
  /** [count, classes]. */
  readonly logits: Float32Array;
  /** [count, classes], calibrated. */
  readonly probabilities: Float32Array;
  /** [count], where the model learned a rejection. */
  readonly outlier?: Float32Array | undefined;
}

/** Runs a deployed model on `pixels` uint8 [count, H, W, 3]. */
export interface Runner {
  run(pixels: Uint8Array, count: number): Promise<RunOutputs>;
  close(): Promise<void>;
}

export interface PredictOptions {
  /**
   * 10: averages ten views of each image, its corners, its centre and their mirror images (two where
   * nothing is cropped away); slower, and a little more often right. Default 1.
   */
  readonly views?: 1 | 10 | undefined;
  /** Images run at once; default 32. */
  readonly batchSize?: number | undefined;
  /** A picture whose label is less confident is none of these; default 0. */
  readonly threshold?: number | undefined;
  /** false: a picture unlike the images of every class has one all the same. Default true. */
  readonly rejection?: boolean | undefined;
}

/**
 * A model ready to predict, the same in Node and in the browser; `Picture` is what it takes there.
 * Made by `loadModel`.
 */
export interface Classifier<Picture = Image> extends AsyncDisposable {
  readonly labels: readonly string[];
  readonly preprocessing: Preprocessing;
  /** Hashes of the images that it learned from, of their bytes and of their pixels, where its run folder tells. */
  readonly learned?: ReadonlySet<string> | undefined;
  /** The `outlier` from which on a picture is none of these, where the model learned one. */
  readonly outlierThreshold?: number | undefined;
  /**
   * Classifies one picture, or several. Throws `not-found` and `bad-data` for what cannot be read.
   *
   * @example
   * await using classifier = await loadModel('runs/flowers');
   * const { label, confidence } = await classifier.predict('rose.jpg');
   * const many = await classifier.predict(['a.jpg', 'b.jpg'], { views: 10 });
   */
  predict(picture: Picture, options?: PredictOptions): Promise<Prediction>;
  predict(pictures: readonly Picture[], options?: PredictOptions): Promise<Prediction[]>;
  /**
   * Logits and calibrated probabilities of pixels that are already resized and cropped: uint8
   * [count, H, W, 3].
   */
  readonly run: Runner['run'];
  /** Frees the model, as the end of the block of an `await using` does. */
  close(): Promise<void>;
}

/** What a classifier is made of. */
export interface ClassifierParts<Picture> {
  readonly runner: Runner;
  /** In index order. */
  readonly labels: readonly string[];
  readonly preprocessing: Preprocessing;
  readonly learned?: ReadonlySet<string> | undefined;
  readonly outlierThreshold?: number | undefined;
  /** The pixels of a picture. */
  readonly read: (picture: Picture) => Image | Promise<Image>;
}

/** A classifier over whatever runs the graph and whatever pictures are. */
export function makeClassifier<Picture>({
  runner,
  labels,
  preprocessing,
  learned,
  outlierThreshold,
  read,
}: ClassifierParts<Picture>): Classifier<Picture> {
  const viewsOf = pictureViews(preprocessing);
  const predictMany = async (pictures: readonly Picture[], options: PredictOptions = {}): Promise<Prediction[]> => {
    assertOpen();
    const { views = 1, batchSize = 32, ...refused } = checkOptions(pictureOptions, options);
    const predictions: Prediction[] = [];
    const size = views === 1 ? batchSize : Math.max(1, Math.floor(batchSize / views));
    for (let start = 0; start < pictures.length; start += size) {
      const batch: PictureViews[] = [];
      // One after the other: only one picture is in memory at its full size.
      for (const picture of pictures.slice(start, start + size)) {
        const name = typeof picture === 'string' ? picture : 'a picture';
        batch.push({ name, views: viewsOf(checkImage(await read(checkPicture(picture))), views) });
      }
      predictions.push(...(await predictViews({ run: runner.run, labels, outlierThreshold }, batch, refused)));
    }
    return predictions;
  };
  let closed: Promise<void> | undefined;
  const close = (): Promise<void> => (closed ??= runner.close());
  const assertOpen = (): void => {
    if (closed) throw new PupilError('usage', 'the classifier was closed; load the model again');
  };
  function predict(picture: Picture, options?: PredictOptions): Promise<Prediction>;
  function predict(pictures: readonly Picture[], options?: PredictOptions): Promise<Prediction[]>;
  async function predict(
    given: Picture | readonly Picture[],
    options?: PredictOptions,
  ): Promise<Prediction | Prediction[]> {
    if (Array.isArray(given)) return predictMany(given as readonly Picture[], options);
    const [prediction] = await predictMany([given as Picture], options);
    return prediction!;
  }
  return {
    labels,
    preprocessing,
    learned,
    outlierThreshold,
    predict,
    async run(pixels, count) {
      assertOpen();
      const [height, width] = preprocessing.size;
      const expected = count * height * width * 3;
      if (pixels instanceof Uint8Array && pixels.length === expected && count > 0) return runner.run(pixels, count);
      const got = pixels instanceof Uint8Array ? `${pixels.length} bytes` : shown(pixels);
      throw new PupilError(
        'usage',
        `run takes uint8 pixels [count, ${height}, ${width}, 3], ${expected} bytes for a count of ${count}, got ${got}`,
      );
    },
    close,
    [asyncDispose]: close,
  };
}

/**
 * Runs a network on any number of images in batches of `size`, the last batch filled up with zeros: for
 * one that takes no others, or because engines round otherwise for other sizes. Undefined: any size.
 */
export function inBatchesOf(size: number | undefined, run: Runner['run']): Runner['run'] {
  if (size === undefined) return run;
  return async (pixels, count) => {
    if (count === size) return run(pixels, count);
    const bytes = pixels.length / count;
    const rows: RunOutputs[] = [];
    for (let start = 0; start < count; start += size) {
      const batch = new Uint8Array(size * bytes);
      batch.set(pixels.subarray(start * bytes, (start + size) * bytes));
      rows.push(await run(batch, size));
    }
    const joined = (of: readonly Float32Array[]): Float32Array => {
      const width = of[0]!.length / size,
        all = new Float32Array(of.length * size * width);
      of.forEach((row, i) => all.set(row, i * size * width));
      return all.slice(0, count * width);
    };
    return {
      logits: joined(rows.map(({ logits }) => logits)),
      probabilities: joined(rows.map(({ probabilities }) => probabilities)),
      outlier: rows[0]?.outlier && joined(rows.map(({ outlier }) => outlier!)),
    };
  };
}

/** What the network sees of one picture, and what errors call it. */
export interface PictureViews {
  readonly name: string;
  readonly views: readonly Image[];
}

/** Makes the views of pictures that are averaged: one, or ten. */
export function pictureViews(preprocessing: Preprocessing): (image: Image, views: 1 | 10) => Image[] {
  const view = inputView(preprocessing);
  return (image, views) => (views === 1 ? [view(image)] : tenViews(image, preprocessing));
}

/** The predictions of some pictures, whose views run as one batch. */
export async function predictViews(
  { run, labels, outlierThreshold = Infinity }: Pick<Classifier, 'run' | 'labels' | 'outlierThreshold'>,
  pictures: readonly PictureViews[],
  { threshold, rejection = true }: Pick<PredictOptions, 'threshold' | 'rejection'> = {},
): Promise<Prediction[]> {
  if (pictures.length === 0) return [];
  const all = pictures.flatMap(({ views }) => views);
  const { probabilities, outlier: outliers } = await run(stack(all), all.length);
  let row = 0;
  return pictures.map(({ name, views }) => {
    const first = row;
    row += views.length;
    const mean = meanRow(probabilities, labels.length, first, row);
    assertFinite(mean, name);
    const prediction = toPrediction(mean, labels, threshold);
    if (outliers === undefined) return prediction;
    const outlier = meanRow(outliers, 1, first, row)[0]!;
    return { ...prediction, outlier, none: prediction.none || (rejection && outlier > outlierThreshold) };
  });
}

function checkPicture<Picture>(picture: Picture): Picture {
  if (typeof picture === 'string' ? picture.trim() !== '' : typeof picture === 'object' && picture !== null)
    return picture;
  throw new PupilError(
    'usage',
    `predict takes a picture (its path, its bytes or decoded pixels), or a list of them, got ${shown(picture)}`,
  );
}

/** Refuses pixels that are not as many as their width and height say. */
function checkImage(image: Image): Image {
  const { width, height, data } = image;
  const sides = [width, height].every((side) => Number.isSafeInteger(side) && side > 0);
  if (sides && data instanceof Uint8Array && data.length === width * height * 3) return image;
  const got = data instanceof Uint8Array ? `${data.length} bytes` : 'no Uint8Array';
  throw new PupilError(
    'bad-data',
    `decoded pixels have a width, a height and data, one byte each for red, green and blue of every pixel, ` +
      `got ${width} x ${height} and ${got}`,
  );
}

/** The mean of rows `from` to `to` of a matrix. */
export function meanRow(rows: Float32Array, size: number, from: number, to: number): Float32Array {
  const mean = new Float32Array(size);
  for (let i = from * size; i < to * size; i++) mean[i % size]! += rows[i]! / (to - from);
  return mean;
}

/** One row of probabilities as a prediction. */
export function toPrediction(row: Float32Array, labels: readonly string[], threshold = 0): Prediction {
  const best = row.indexOf(row.reduce((a, b) => Math.max(a, b), -Infinity));
  return {
    label: labels[best]!,
    confidence: row[best]!,
    none: row[best]! < threshold,
    probabilities: Object.fromEntries(labels.map((label, c) => [label, row[c]!])),
  };
}

/** What the network sees of an image when it is evaluated. */
export function inputView(preprocessing: Preprocessing): (image: Image) => Image {
  const target = evaluationTarget(preprocessing);
  return (image) => toTarget(image, target);
}

/**
 * Test-time augmentation: the four corner crops and the centre crop of the image resized to
 * `resizeShort`, and their mirror images, ten views (Krizhevsky et al. 2012), or the image and its
 * mirror where nothing is cropped away.
 */
export function tenViews(image: Image, preprocessing: Preprocessing): Image[] {
  const [height, width] = preprocessing.size;
  const centre = inputView(preprocessing)(image);
  const scale = Math.max(
    preprocessing.resizeShort / Math.min(image.width, image.height),
    width / image.width,
    height / image.height,
  );
  const large = resize(
    image,
    Math.max(width, Math.round(image.width * scale)),
    Math.max(height, Math.round(image.height * scale)),
    preprocessing.interpolation,
  );
  const right = large.width - width,
    bottom = large.height - height;
  const corners =
    right === 0 && bottom === 0
      ? []
      : ([
          [0, 0],
          [right, 0],
          [0, bottom],
          [right, bottom],
        ] as const);
  const views = [centre, ...corners.map(([left, top]) => crop(large, { left, top, width, height }))];
  return [...views, ...views.map(flipHorizontal)];
}

/** Images of one size as one batch of pixels [count, H, W, 3]. */
export function stack(images: readonly Image[]): Uint8Array {
  const size = images[0]!.data.length;
  const pixels = new Uint8Array(size * images.length);
  images.forEach((image, i) => {
    invariant(image.data.length === size, 'stack: images of different sizes');
    pixels.set(image.data, i * size);
  });
  return pixels;
}
