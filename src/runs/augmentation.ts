/** What a run does to its training images, by its settings. */
import { mixes, type MixingSpec } from '../augment/mixing.js';
import { buildPipeline, type PipelineSpec } from '../augment/pipeline.js';
import type { AugmentPolicy } from '../augment/policy.js';
import { readAugment } from '../augment/policy-file.js';
import { trainPipeline, type InputSpec } from '../augment/presets.js';
import { errorAbout } from '../errors.js';
import type { Settings, TrainOptions } from './resolve.js';

/** The settings that say how training images are varied. */
export type AugmentationSettings = Pick<Settings, 'augment' | 'flip' | 'cutmix' | 'mixup' | 'mixProbability' | 'erase'>;

/**
 * The policy that an option names, its file read. Throws `usage` for a mistake in it, `not-found`
 * for a missing file.
 */
export async function readPolicy(
  augment: NonNullable<TrainOptions['augment']>,
  option: string,
): Promise<AugmentPolicy> {
  try {
    const policy = typeof augment === 'string' ? await readAugment(augment) : augment;
    buildPipeline(policy.steps);
    return policy;
  } catch (error) {
    throw errorAbout(option, error);
  }
}

/**
 * Whether images are changed one by one, so that they are needed at a larger size than evaluation
 * sees them.
 */
export const changesImages = ({ augment, erase = 0 }: Pick<Settings, 'augment' | 'erase'>): boolean =>
  augment.base !== 'none' || augment.steps.length > 0 || erase > 0;

/** From prepared images to what the network sees. */
export const imagePipeline = ({ augment, flip, erase }: AugmentationSettings, input: InputSpec): PipelineSpec =>
  trainPipeline(augment, input, { flip, erase });

/** How batches are mixed; undefined: not at all. Throws `usage` for impossible values. */
export function mixingOf({
  cutmix,
  mixup,
  mixProbability,
}: Pick<Settings, 'cutmix' | 'mixup' | 'mixProbability'>): MixingSpec | undefined {
  const spec: MixingSpec = { cutmix, mixup, probability: mixProbability };
  return mixes(spec) ? spec : undefined;
}

/**
 * In a few words, for the plan: `randaugment:n=2,m=9, erase 0.25, cutmix 1 on half of the batches`.
 */
export function describeAugmentation({ augment, erase = 0, ...settings }: AugmentationSettings): string {
  const { cutmix = 0, mixup = 0, probability = 1 } = mixingOf(settings) ?? {};
  const mixed = [...(cutmix > 0 ? [`cutmix ${cutmix}`] : []), ...(mixup > 0 ? [`mixup ${mixup}`] : [])].join(' or ');
  return [
    augment.name,
    ...(erase > 0 ? [`erase ${erase}`] : []),
    ...(mixed === '' ? [] : [probability < 1 ? `${mixed} on ${probability * 100}% of the batches` : mixed]),
  ].join(', ');
}
