/** Pupil's library: the functions that the command line is made of. */
export { train } from './runs/train.js';
export { Job, type ResultEvent } from './job.js';
export type { RunEvent, TrainEvent, TrainResult } from './runs/events.js';
export type { Mode, TrainOptions } from './runs/resolve.js';
export { distill, type DistillOptions } from './jobs/distill.js';
export { selfTrain, type SelfTrainEvent, type SelfTrainOptions, type SelfTrainResult } from './jobs/self-train.js';
export { learn, type LearnEvent, type LearnOptions, type LearnResult } from './jobs/ladder.js';
export type { TechniqueName } from './techniques/index.js';
export type { Rung, StudentRound } from './artifact/formats.js';
export { search, type SearchEvent } from './jobs/search/search.js';
export type { CellResult, SearchResult } from './jobs/search/outcome.js';
export type { SearchOptions } from './jobs/search/settings.js';
export { gap, type GapEvent } from './jobs/gap/gap.js';
export type { GapOptions } from './jobs/gap/settings.js';
export {
  pseudoLabel,
  type PseudoLabelEvent,
  type PseudoLabelOptions,
  type PseudoLabelResult,
} from './jobs/label/label.js';
export { readPseudoLabels, writePseudoLabels } from './artifact/pseudo-labels.js';
export { describePseudoLabels, pseudoTarget, selectPseudoLabels } from './data/pseudo-labels.js';
export type { PseudoLabel, PseudoLabelDescription, PseudoLabels, SelectOptions } from './data/pseudo-labels.js';
export { loadModel, type LoadOptions } from './evaluate/load.js';
export { evaluate, predict, type EvaluateOptions, type Evaluation, type PathPrediction } from './evaluate/evaluate.js';
export type { Classifier, Prediction } from './evaluate/classifier.js';
export type { ClassMetrics, GapResult, Metrics } from './artifact/formats.js';
export { openDataset, datasetOf, type OpenOptions } from './data/dataset.js';
export type { Dataset, Sample } from './data/sample.js';
export { buildPipeline, describeDraws, readPipeline, replayPipeline, runPipeline } from './augment/pipeline.js';
export type { Pipeline, PipelineSpec, TransformSpec } from './augment/pipeline.js';
export { evaluationPipeline, presets, trainPipeline, type InputSpec, type PresetName } from './augment/presets.js';
export { parseAugment, readAugment, type AugmentPolicy } from './augment/policy.js';
export { mixPixels, mixTargets, sampleMix, type Mix, type MixingSpec } from './augment/mixing.js';
export { Random } from './random.js';
export { decode } from './image/decode.js';
export type { Image } from './image/image.js';
export { PupilError, type ErrorCode } from './errors.js';
export { version } from './version.js';
