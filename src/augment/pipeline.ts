/** The named transforms and pipelines of them. A pipeline is plain data, so that it can be sent to workers and saved with a run. */
import type { Image } from '../image/image.js';
import type { Interpolation } from '../image/resize.js';
import type { Random } from '../random.js';
import { PupilError } from '../errors.js';
import { brightnessJitter, colourJitter, contrastJitter, saturationJitter } from './colour.js';
import { centreCropTo, horizontalFlip, padAndCrop, randomResizedCrop, resizeShortSide, resizeTo, rotate } from './geometry.js';
import type { Transform } from './transform.js';

/** Every transform by name; a new one is one more row. */
export const transforms = {
  resizeShortSide, resizeTo, centreCropTo, randomResizedCrop, horizontalFlip, padAndCrop, rotate,
  brightnessJitter, contrastJitter, saturationJitter, colourJitter,
} as const;

type Table = typeof transforms;

/** One step of a pipeline: a transform's name with its options. */
export type TransformSpec = { [Name in keyof Table]: { readonly name: Name } & Readonly<Parameters<Table[Name]>[0]> }[keyof Table];

/** Steps in order, as plain data. */
export type PipelineSpec = readonly TransformSpec[];

export type Pipeline = readonly Transform[];

/** Builds the transforms of a pipeline; throws `usage` for an unknown name. */
export function buildPipeline(spec: PipelineSpec): Pipeline {
  return spec.map(({ name, ...options }) => {
    if (!Object.hasOwn(transforms, name)) {
      throw new PupilError('usage', `no augmentation named '${String(name)}'; known: ${Object.keys(transforms).join(', ')}`);
    }
    return (transforms[name] as (options: object) => Transform)(options);
  });
}

/** The image after every step, each drawing its parameters from `random` in turn. */
export function runPipeline(pipeline: Pipeline, image: Image, random: Random): Image {
  let result = image;
  for (const transform of pipeline) result = transform.apply(result, transform.sample(random, result));
  return result;
}

/** What a preset needs to know of the model's input (a part of `Preprocessing`). */
export interface InputSpec {
  readonly size: readonly [height: number, width: number];
  readonly resizeShort: number;
  readonly interpolation: Interpolation;
}

/** What a model is evaluated on: the short side resized, the centre cropped. */
export function evaluationPipeline({ size: [height, width], resizeShort, interpolation }: InputSpec): PipelineSpec {
  return [{ name: 'resizeShortSide', size: resizeShort, interpolation }, { name: 'centreCropTo', width, height }];
}

export const augmentationPresets = ['none', 'light', 'basic'] as const;
export type AugmentationPreset = (typeof augmentationPresets)[number];

export interface TrainPipelineOptions {
  /** Mirror half of the images (default true): wrong for digits, text and anything with a handedness. */
  readonly flip?: boolean;
  /** Share of the area that random crops keep; default [0.08, 1] for basic, [0.5, 1] for light. */
  readonly scale?: readonly [number, number];
}

/**
 * The pipelines of `--augment`. none: as evaluated. From 64 pixels on, basic and light crop a random box and resize it, below that they
 * pad (by 4 and 2 pixels) and crop; both mirror.
 */
export function trainPipeline(kind: AugmentationPreset, input: InputSpec, { flip = true, scale }: TrainPipelineOptions = {}): PipelineSpec {
  if (kind === 'none') return evaluationPipeline(input);
  if (!augmentationPresets.includes(kind)) {
    throw new PupilError('usage', `no augmentation preset '${String(kind)}'; known: ${augmentationPresets.join(', ')}`);
  }
  const { size: [height, width], interpolation } = input;
  const mirror: PipelineSpec = flip ? [{ name: 'horizontalFlip' }] : [];
  if (Math.min(height, width) >= 64) {
    return [{ name: 'randomResizedCrop', width, height, interpolation, scale: scale ?? (kind === 'basic' ? [0.08, 1] : [0.5, 1]) }, ...mirror];
  }
  return [
    ...evaluationPipeline({ ...input, resizeShort: Math.max(height, width) }),
    { name: 'padAndCrop', pad: kind === 'basic' ? 4 : 2, width, height },
    ...mirror,
  ];
}
