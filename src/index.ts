/**
 * Pupil's library: the functions that the command line is made of. Augmentation, techniques and data
 * have doors of their own: `pupil/augment`, `pupil/techniques`, `pupil/data`; `pupil/web` is for
 * browsers.
 */
import type { DistillOptions as FlatDistillOptions } from './options/jobs.js';
import type { SelfTrainOptions as FlatSelfTrainOptions } from './options/jobs.js';
import type { TrainOptions as FlatTrainOptions } from './options/training.js';
import type { WithValues } from './runs/values.js';

export { train } from './runs/train.js';
export type TrainOptions = WithValues<FlatTrainOptions>;
export type { RunEvent, TrainEvent, TrainResult } from './runs/events.js';
export type { TechniqueValue } from './runs/values.js';
export type { Mode } from './options/option.js';
export type { TechniqueName } from './options/training.js';

export { distill } from './jobs/distill.js';
export type DistillOptions = WithValues<FlatDistillOptions>;
export { selfTrain, type SelfTrainEvent, type SelfTrainResult } from './jobs/self-train.js';
export type SelfTrainOptions = WithValues<FlatSelfTrainOptions>;
export { learn, type LearnEvent, type LearnOptions, type LearnResult } from './jobs/ladder.js';
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
export type {
  Accuracy,
  ClassMetrics,
  Gain,
  GapResult,
  Metrics,
  PolicyGap,
  Rung,
  StudentRound,
} from './artifact/formats.js';
export { Job, type ResultEvent } from './job.js';

export { loadModel, type LoadOptions, type Picture } from './evaluate/load.js';
export type { Classifier, PredictOptions, Prediction } from './evaluate/classifier.js';
export { evaluate, type EvaluateOptions, type Evaluation } from './evaluate/evaluate.js';

export { PupilError, type ErrorCode } from './errors.js';
export { version } from './version.js';
