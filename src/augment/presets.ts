import { PupilError } from '../errors.js';
import { suggestion } from '../nearest.js';
import type { Interpolation } from '../image/resize.js';
import type { PipelineSpec } from './pipeline.js';

/** How crops are drawn and mirrored. */
export const bases = ['none', 'light', 'basic'] as const;

/** How training images are varied, as plain JSON. */
export interface AugmentPolicy {
  /** As it can be given as `augment`. */
  readonly name: string;
  readonly base: (typeof bases)[number];
  /** What is done to the crop, at the model's size. */
  readonly steps: PipelineSpec;
}

/** What a pipeline needs to know of the model's input (a part of `Preprocessing`). */
export interface InputSpec {
  readonly size: readonly [height: number, width: number];
  readonly resizeShort: number;
  readonly interpolation: Interpolation;
}

/**
 * FixMatch's weak augmentation (Sohn et al. 2020): half mirrored, shifted by up to an eighth of
 * each side, borders reflected.
 */
const weak: PipelineSpec = [{ name: 'horizontalFlip' }, { name: 'padAndCrop', pad: 0.125, fill: 'reflect' }];

const named = (name: string, base: AugmentPolicy['base'], steps: PipelineSpec = []): AugmentPolicy => ({
  name,
  base,
  steps,
});

/**
 * Policies by name. none: as the model is evaluated. light, basic: random crops, mirrored. weak,
 * strong: FixMatch's two views, strong with RandAugment and Cutout of half a side on top.
 */
export const presets = {
  none: named('none', 'none'),
  light: named('light', 'light'),
  basic: named('basic', 'basic'),
  weak: named('weak', 'none', weak),
  strong: named('strong', 'none', [...weak, { name: 'randAugment', n: 2, m: 10 }, { name: 'cutout', size: 0.5 }]),
} as const satisfies Record<string, AugmentPolicy>;

export type PresetName = keyof typeof presets;
export const presetNames = Object.keys(presets) as PresetName[];

/** What a model is evaluated on: the short side resized, the centre cropped. */
export function evaluationPipeline({ size: [height, width], resizeShort, interpolation }: InputSpec): PipelineSpec {
  return [{ name: 'resizedCentre', short: resizeShort, width, height, interpolation }];
}

export interface TrainPipelineOptions {
  /**
   * Mirror half of the images (default true): wrong for digits, text and anything with a
   * handedness. False drops flips of a policy too.
   */
  readonly flip?: boolean;
  /** Share of the area that random crops keep; default [0.08, 1] for basic, [0.5, 1] for light. */
  readonly scale?: readonly [number, number];
  /** Probability that a box is erased, last (`randomErasing`). */
  readonly erase?: number;
}

/**
 * The pipeline of a policy for training images, as plain data: crops to the model's size as its
 * base says, then its steps, then erasing. From 64 pixels on, basic and light crop a random box and
 * resize it, below that they pad (by 4 and 2 pixels) and crop; both mirror. Throws `usage` for an
 * unknown name.
 */
export function trainPipeline(
  policy: AugmentPolicy | PresetName,
  input: InputSpec,
  { flip = true, scale, erase = 0 }: TrainPipelineOptions = {},
): PipelineSpec {
  const { base, steps } = typeof policy === 'string' ? presetNamed(policy) : policy;
  return [
    ...basePipeline(base, input, flip, scale),
    ...(flip ? steps : steps.filter(({ name }) => name !== 'horizontalFlip')),
    ...(erase > 0 ? [{ name: 'randomErasing', probability: erase } as const] : []),
  ];
}

function presetNamed(name: string): AugmentPolicy {
  if (!Object.hasOwn(presets, name))
    throw new PupilError('usage', `no augmentation named ${JSON.stringify(name)}: ${suggestion(name, presetNames)}`);
  return presets[name as PresetName];
}

function basePipeline(
  base: AugmentPolicy['base'],
  input: InputSpec,
  flip: boolean,
  scale: readonly [number, number] | undefined,
): PipelineSpec {
  if (base === 'none') return evaluationPipeline(input);
  const {
    size: [height, width],
    interpolation,
  } = input;
  const mirror: PipelineSpec = flip ? [{ name: 'horizontalFlip' }] : [];
  if (Math.min(height, width) >= 64) {
    return [
      {
        name: 'randomResizedCrop',
        width,
        height,
        interpolation,
        scale: scale ?? (base === 'basic' ? [0.08, 1] : [0.5, 1]),
      },
      ...mirror,
    ];
  }
  return [
    ...evaluationPipeline({ ...input, resizeShort: Math.max(height, width) }),
    { name: 'padAndCrop', pad: base === 'basic' ? 4 : 2, width, height },
    ...mirror,
  ];
}
