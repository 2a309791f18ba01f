/**
 * What the JSON files of a run folder hold that its report shows; types only, for those that write them. A missing file or an absent optional
 * field leaves out what would be drawn of it. Shares and accuracies are in [0, 1], times in seconds; `interval` is the half-width of the
 * 95% interval.
 */

/** A measured accuracy. */
export interface Accuracy {
  readonly top1: number;
  readonly interval?: number;
  /** Images that it was measured on. */
  readonly count?: number;
}

/** How much more accurate than the best before. */
export interface Gain {
  readonly mean: number;
  readonly interval?: number;
}

/** `unlabelled` of an `epoch` record in metrics.jsonl: what became of the unlabelled images of the epoch (FixMatch and its kin). */
export interface UnlabelledEpoch {
  /** Share of them whose label was confident enough to be used. */
  readonly kept: number;
  /** Mean weight of all. */
  readonly weight: number;
  /** Share of the kept whose label is right, where the truth is known. */
  readonly right?: number;
  /** How many the truth is known of. */
  readonly known?: number;
  /** By class: the share kept of what was predicted to be it, and its share of all predictions. */
  readonly perClass?: Readonly<Record<string, { readonly kept: number; readonly predicted: number }>>;
  /** Confidence asked of each class, where that is learned (FlexMatch, FreeMatch). */
  readonly thresholds?: Readonly<Record<string, number>>;
}

/** One class of a round's pseudo-labels. */
export interface PseudoLabelClass {
  readonly predicted: number;
  readonly accepted: number;
  /** How often images of it stand in the training set: balancing repeats those of short classes. */
  readonly copies: number;
  readonly meanConfidence: number;
  /** Of the predicted, how many the truth is known of, and how many are right. */
  readonly known?: number;
  readonly right?: number;
}

/** What a teacher said of the unlabelled images. */
export interface PseudoLabelRound {
  readonly round: number;
  /** The run or model that labelled. */
  readonly teacher?: string;
  readonly threshold?: number;
  readonly total: number;
  readonly accepted: number;
  readonly meanConfidence: number;
  /** Images by tenth of confidence, ten numbers each. */
  readonly histogram: readonly number[];
  readonly acceptedHistogram: readonly number[];
  readonly perClass: Readonly<Record<string, PseudoLabelClass>>;
  readonly truth?: { readonly known: number; readonly right: number; readonly acceptedKnown: number; readonly acceptedRight: number };
  /** Paths of accepted images by class, the most confident first. */
  readonly samples: Readonly<Record<string, readonly string[]>>;
  /** Paths of the least confident. */
  readonly doubtful: readonly string[];
  /** Images unlike any class. */
  readonly outOfDistribution?: { readonly count: number; readonly paths: readonly string[] };
}

/** pseudo-labels.json */
export interface PseudoLabelsFile {
  readonly rounds: readonly PseudoLabelRound[];
}

/** One student of self-training; round 0 is the first teacher. */
export interface StudentRound {
  readonly round: number;
  readonly student: string;
  readonly parameters?: number;
  /** On the images that decide. */
  readonly selection: Accuracy;
  readonly val?: Accuracy;
  readonly test?: Accuracy;
  /** Over the best before; absent in round 0. */
  readonly gain?: Gain;
  readonly helped?: boolean;
  readonly seconds: number;
  /** Its run, relative to the folder of the file. */
  readonly run?: string;
}

/** rounds.json */
export interface RoundsFile {
  /** The round whose student is the result. */
  readonly kept: number;
  readonly rounds: readonly StudentRound[];
  /** Why no further round was trained. */
  readonly stopped?: string;
}

/** One technique that `learn` tried, or left out. */
export interface Rung {
  readonly name: string;
  /** The technique in a few words. */
  readonly what?: string;
  readonly model?: string;
  readonly parameters?: number;
  /** On the images that decide; absent when skipped. */
  readonly selection?: Accuracy;
  readonly test?: Accuracy;
  /** Over the best before; absent in the first rung. */
  readonly gain?: Gain;
  readonly kept: boolean;
  /** Why it was kept, not kept or skipped. */
  readonly reason?: string;
  readonly seconds?: number;
  readonly expectedSeconds?: number;
  /** Its run, relative to the folder of the file. */
  readonly run?: string;
  readonly skipped?: boolean;
}

/** ladder.json */
export interface LadderFile {
  readonly rungs: readonly Rung[];
  /** Name of the rung whose model is the result. */
  readonly kept?: string;
  readonly budgetMinutes?: number;
  readonly seconds?: number;
}
