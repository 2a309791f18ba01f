/**
 * Pupil's library: the functions that the command line is made of. Augmentation, techniques and data
 * have doors of their own: `pupil/augment`, `pupil/techniques`, `pupil/data`; `pupil/web` is for
 * browsers.
 *
 * @module
 */
export type { LearnRequest as LearnOptions, SearchRequest as SearchOptions } from './options/jobs.js';
export type {
  CompareOptions,
  GapRequest as GapOptions,
  PseudoLabelRequest as PseudoLabelOptions,
  LabelErrorRequest as LabelErrorOptions,
  SuggestRequest as SuggestOptions,
} from './options/tools.js';
export type { FeaturesRequest as FeaturesOptions, PackRequest as PackOptions } from './options/shards.js';
export type { TrainRequest as TrainOptions } from './runs/values.js';
export type { DistillRequest as DistillOptions } from './jobs/distill.js';
export type { SelfTrainRequest as SelfTrainOptions } from './jobs/self-train.js';
export type { EngineName } from './engine/index.js';
export type { ScheduleName } from './train/schedules.js';
export type { Mode } from './options/option.js';
export type { TechniqueName } from './options/training.js';
export type { TechniqueValue } from './runs/values.js';

export { train } from './runs/train.js';
export { distill } from './jobs/distill.js';
export { selfTrain, type SelfTrainEvent, type SelfTrainResult } from './jobs/self-train.js';
export { learn, type LearnEvent, type LearnResult } from './jobs/learn/learn.js';
export { search, type SearchEvent, type SearchProgress } from './jobs/search/search.js';
export type { CellResult, SearchResult } from './jobs/search/outcome.js';
export type { Space } from './jobs/search/settings.js';
export { gap, type GapEvent } from './jobs/gap/gap.js';
export { pseudoLabel, type FoundImages, type PseudoLabelEvent, type PseudoLabelResult } from './jobs/label/label.js';
export { features, type FeaturesResult } from './jobs/features.js';
export { packShards, type PackedShard, type PackResult } from './jobs/pack.js';
export { labelErrors, type DoubtedImage, type LabelErrors } from './jobs/label-errors.js';
export { compare, type Comparison, type ComparedRun, type CompareResult } from './jobs/compare.js';
export { suggest, type SuggestedImage, type SuggestEvent, type SuggestResult } from './jobs/suggest/suggest.js';
export { Job, type ResultEvent } from './job.js';
export type { RunEvent, TrainEvent, TrainResult } from './runs/events.js';
export type { Counts, Work } from './runs/expected.js';
export type { BestEvaluation, Ending, FitEvent } from './train/events.js';
export type {
  Accuracy,
  ClassMetrics,
  Gain,
  ImageResult,
  Metrics,
  Reported,
  Rung,
  RunResult,
  StudentRound,
} from './artifact/formats.js';
export type { GapResult, PolicyGap } from './artifact/gap-formats.js';

export { loadModel, type LoadOptions, type Picture } from './evaluate/load.js';
export type { Classifier, PredictOptions, Prediction, RunOutputs } from './evaluate/classifier.js';
export { evaluate, type EvaluateOptions, type Evaluation, type Network } from './evaluate/evaluate.js';
export type { Preprocessing } from './data/preprocessing.js';

export { PupilError, type ErrorCode, type PupilErrorOptions } from './errors.js';
export { version } from './version.js';
