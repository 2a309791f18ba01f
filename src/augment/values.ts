/** Augmentation as values: what stands in a list for `augment`, and what such a list means. */
import { assertObject, assertOptions, shown } from '../arguments.js';
import { PupilError } from '../errors.js';
import { mixes, type MixingSpec } from './mixing.js';
import { readPipeline, type TransformName, type TransformSpec } from './pipeline.js';
import { policyOf } from './policy.js';
import { readAugment } from './policy-file.js';
import type { AugmentPolicy } from './presets.js';

/** A way to mix the images of a batch, as plain data. */
export interface MixingStep {
  readonly name: 'cutMix' | 'mixUp';
  /** Of Beta(alpha, alpha), which the share of the other image is drawn from. */
  readonly alpha: number;
  /** Share of batches that are mixed. */
  readonly probability?: number | undefined;
}

/** One part of an augmentation as plain data: a transform of each image, or a mixing of batches. */
export type AugmentStep = TransformSpec | MixingStep;

/**
 * How training images are varied: a policy by name or as an object, one step, or a list of these in
 * order. Images are cropped at random as in `basic` first, unless a policy of the list says
 * otherwise (`none`, `light`).
 */
export type Augment = string | AugmentPolicy | AugmentStep | readonly (string | AugmentPolicy | AugmentStep)[];

/** The options of a transform. */
export type StepOptions<Name extends TransformName> = Omit<StepOf<Name>, 'name'>;

/** A transform with its options, as plain data. */
export type StepOf<Name extends TransformName> = Extract<TransformSpec, { name: Name }>;

/**
 * Any transform by its name. Throws `usage` for options that it does not take.
 *
 * @example
 * await train('photos', { augment: [transform('rotate', { range: [-20, 20] }), transform('gaussianBlur')] });
 */
export function transform<Name extends TransformName>(name: Name, options?: StepOptions<Name>): StepOf<Name> {
  if (options !== undefined) assertObject(options);
  const step = { name, ...options } as StepOf<Name>;
  readPipeline([step]);
  return step;
}

/**
 * RandAugment (Cubuk et al. 2020): `n` ops drawn for each image, all of magnitude `m`.
 *
 * @example
 * await train('photos', { augment: [randAugment({ n: 2, m: 9 }), cutMix()] });
 */
export function randAugment(options?: StepOptions<'randAugment'>): StepOf<'randAugment'> {
  return transform('randAugment', options);
}

/** TrivialAugment (Müller and Hutter 2021): one op of any magnitude. */
export function trivialAugment(options?: StepOptions<'trivialAugment'>): StepOf<'trivialAugment'> {
  return transform('trivialAugment', options);
}

/** AutoAugment (Cubuk et al. 2019): one of the pairs of ops that were found for a data set. */
export function autoAugment(options?: StepOptions<'autoAugment'>): StepOf<'autoAugment'> {
  return transform('autoAugment', options);
}

/** AugMix (Hendrycks et al. 2020): chains of ops, mixed with the image. */
export function augMix(options?: StepOptions<'augMix'>): StepOf<'augMix'> {
  return transform('augMix', options);
}

/** A policy as timm writes it, such as `rand-m9-n2-mstd0.5-inc1`. */
export function timmAugment(options: StepOptions<'timmAugment'>): StepOf<'timmAugment'> {
  return transform('timmAugment', options);
}

/** Random Erasing (Zhong et al. 2020): a box of random size is filled. */
export function erase(options?: StepOptions<'randomErasing'>): StepOf<'randomErasing'> {
  return transform('randomErasing', options);
}

/** Cutout (DeVries and Taylor 2017): a square is filled. */
export function cutout(options?: StepOptions<'cutout'>): StepOf<'cutout'> {
  return transform('cutout', options);
}

/** Options of `cutMix` and `mixUp`. */
export type MixingOptions = Partial<Omit<MixingStep, 'name'>>;

/** CutMix (Yun et al. 2019): a box comes from another image of the batch, and a part of its label. */
export function cutMix(options: MixingOptions = {}): MixingStep {
  return mixing('cutMix', 1, options);
}

/** MixUp (Zhang et al. 2018): images and labels are blended in pairs. */
export function mixUp(options: MixingOptions = {}): MixingStep {
  return mixing('mixUp', 0.2, options);
}

function mixing(name: MixingStep['name'], usual: number, options: MixingOptions): MixingStep {
  assertOptions(options, ['alpha', 'probability']);
  const { alpha = usual, probability } = options;
  mixes({ [name === 'cutMix' ? 'cutmix' : 'mixup']: alpha, probability });
  return { name, alpha, probability };
}

const isMixing = (step: AugmentPolicy | AugmentStep): step is MixingStep =>
  !('steps' in step) && (step.name === 'cutMix' || step.name === 'mixUp');

/**
 * What a value for `augment` means: one policy for images, and how batches are mixed. Throws
 * `usage` for a mistake in it, `not-found` for a missing file.
 */
export async function readAugmentation(
  augment: Augment,
): Promise<{ readonly policy: AugmentPolicy | undefined; readonly mixing: MixingSpec }> {
  const parts = Array.isArray(augment) ? (augment as readonly (string | AugmentPolicy | AugmentStep)[]) : [augment];
  const policies: AugmentPolicy[] = [];
  let mixing: MixingSpec = {};
  for (const part of parts as readonly (string | AugmentPolicy | AugmentStep)[]) {
    const step = typeof part === 'string' ? await readAugment(part) : part;
    if (typeof step !== 'object' || step === null)
      throw new PupilError(
        'usage',
        `an augmentation is a name, a policy, a transform or a list of them, got ${shown(step)}`,
      );
    if (isMixing(step)) mixing = mixedAlso(mixing, step);
    else policies.push('steps' in step ? step : policyOf([step]));
  }
  return { policy: joined(policies), mixing };
}

function mixedAlso(mixing: MixingSpec, { name, alpha, probability }: MixingStep): MixingSpec {
  const before = mixing.probability;
  if (before !== undefined && probability !== undefined && before !== probability)
    throw new PupilError('usage', `cutMix and mixUp share a probability: ${before} is not ${probability}`);
  const key = name === 'cutMix' ? 'cutmix' : 'mixup';
  return { ...mixing, [key]: alpha, probability: probability ?? before };
}

/** Policies one after the other; crops are those of the last that is not `basic`. */
function joined(policies: readonly AugmentPolicy[]): AugmentPolicy | undefined {
  if (policies.length <= 1) return policies[0];
  const base = policies.findLast((policy) => policy.base !== 'basic')?.base ?? 'basic';
  return policyOf(
    policies.flatMap(({ steps }) => steps),
    base,
  );
}
