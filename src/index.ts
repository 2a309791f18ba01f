/** Pupil's library: the functions that the command line is made of. */
export { train } from './techniques/train.js';
export type { RunEvent, TrainResult } from './techniques/events.js';
export type { Mode, TrainOptions } from './techniques/settings.js';
export { loadModel, type LoadOptions } from './evaluate/load.js';
export { evaluate, predict, type EvaluateOptions, type Evaluation, type PathPrediction } from './evaluate/evaluate.js';
export type { Classifier, Prediction } from './evaluate/classifier.js';
export type { ClassMetrics, Metrics } from './evaluate/metrics.js';
export { openDataset, datasetOf, type OpenOptions } from './data/dataset.js';
export type { Dataset, Sample } from './data/sample.js';
export { buildPipeline, describeDraws, evaluationPipeline, presets, readPipeline, replayPipeline, runPipeline, trainPipeline } from './augment/pipeline.js';
export type { InputSpec, Pipeline, PipelineSpec, PresetName, TransformSpec } from './augment/pipeline.js';
export { parseAugment, readAugment, type AugmentPolicy } from './augment/policy.js';
export { mixPixels, mixTargets, sampleMix, type Mix, type MixingSpec } from './augment/mixing.js';
export { Random } from './random.js';
export { decode } from './image/decode.js';
export type { Image } from './image/image.js';
export { PupilError, type ErrorCode } from './errors.js';
export { version } from './version.js';
