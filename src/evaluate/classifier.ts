import type { Preprocessing } from '../data/preprocessing.js';
import { evaluationTarget, toTarget } from '../data/target.js';
import { invariant } from '../errors.js';
import { crop, flipHorizontal } from '../image/crop.js';
import type { Image } from '../image/image.js';
import { resize } from '../image/resize.js';

/** One image's answer. */
export interface Prediction {
  readonly label: string;
  /** Calibrated probability of `label`, 0 to 1. */
  readonly confidence: number;
  /** By class name. */
  readonly probabilities: Readonly<Record<string, number>>;
}

/** Runs a deployed model: `pixels` uint8 [count, H, W, 3] to two float32 [count, classes]. */
export interface Runner {
  run(
    pixels: Uint8Array,
    count: number,
  ): Promise<{ readonly logits: Float32Array; readonly probabilities: Float32Array }>;
  close(): Promise<void>;
}

/** A model ready to predict, the same in Node and in the browser. Made by `loadModel`. */
export interface Classifier {
  readonly labels: readonly string[];
  readonly preprocessing: Preprocessing;
  /**
   * Logits and calibrated probabilities of pixels that are already resized and cropped: uint8
   * [count, H, W, 3].
   */
  readonly run: Runner['run'];
  /** Resizes, crops and classifies decoded images of any size, all in one batch. */
  classify(images: readonly Image[]): Promise<Prediction[]>;
  /** Frees the model. */
  close(): Promise<void>;
}

/** A classifier over whatever runs the graph. `labels` are in index order. */
export function makeClassifier(runner: Runner, labels: readonly string[], preprocessing: Preprocessing): Classifier {
  const view = inputView(preprocessing);
  return {
    labels,
    preprocessing,
    run: (pixels, count) => runner.run(pixels, count),
    close: () => runner.close(),
    async classify(images) {
      if (images.length === 0) return [];
      const { probabilities } = await runner.run(stack(images.map(view)), images.length);
      return images.map((_, i) =>
        toPrediction(probabilities.subarray(i * labels.length, (i + 1) * labels.length), labels),
      );
    },
  };
}

/** One row of probabilities as a prediction. */
export function toPrediction(row: Float32Array, labels: readonly string[]): Prediction {
  const best = row.indexOf(row.reduce((a, b) => Math.max(a, b), -Infinity));
  return {
    label: labels[best]!,
    confidence: row[best]!,
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
