/**
 * `pupil/augment`: augmentation as values, and the transforms by themselves.
 *
 * @module
 */
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
  type MixingOptions,
  type MixingStep,
  type StepOf,
  type StepOptions,
} from './augment/values.js';
export { parseAugment, type AugmentPolicy } from './augment/policy.js';
export { readAugment } from './augment/policy-file.js';
export { buildPipeline, describeDraws, readPipeline, replayPipeline, runPipeline } from './augment/pipeline.js';
export type { Transform } from './augment/transform.js';
export type { Pipeline, PipelineSpec, TransformName, TransformSpec } from './augment/pipeline.js';
export {
  evaluationPipeline,
  presets,
  trainPipeline,
  type InputSpec,
  type PresetName,
  type TrainPipelineOptions,
} from './augment/presets.js';
export { mixPixels, mixTargets, sampleMix, type Mix, type MixingSpec } from './augment/mixing.js';
export { Random } from './random.js';
export type { Box, Image, Size } from './image/image.js';
export type { Interpolation } from './image/resize.js';
