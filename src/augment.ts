/** `pupil/augment`: augmentation as values, and the transforms by themselves. */
export {
  augMix,
  autoAugment,
  cutMix,
  cutout,
  erase,
  mixUp,
  randAugment,
  timmAugment,
  transform,
  trivialAugment,
  type Augment,
  type AugmentStep,
  type MixingStep,
} from './augment/values.js';
export { parseAugment, readAugment, type AugmentPolicy } from './augment/policy.js';
export { buildPipeline, describeDraws, readPipeline, replayPipeline, runPipeline } from './augment/pipeline.js';
export type { Pipeline, PipelineSpec, TransformName, TransformSpec } from './augment/pipeline.js';
export { evaluationPipeline, presets, trainPipeline, type InputSpec, type PresetName } from './augment/presets.js';
export { mixPixels, mixTargets, sampleMix, type Mix, type MixingSpec } from './augment/mixing.js';
export { Random } from './random.js';
export type { Image } from './image/image.js';
