/**
 * What the JSON files of a run folder hold that its report shows; types only, for those that write
 * them. A missing file or an absent optional field leaves out what would be drawn of it. Shares and
 * accuracies are in [0, 1], times in seconds; `interval` is the half-width of the 95% interval.
 */
import type { PseudoLabelDescription } from '../data/pseudo-labels.js';

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

/**
 * `unlabelled` of an `epoch` record in metrics.jsonl: what became of the unlabelled images of the
 * epoch (FixMatch and its kin).
 */
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

/** What a teacher said of the unlabelled images. */
export interface PseudoLabelRound extends PseudoLabelDescription {
  readonly round: number;
  /** The run or model that labelled. */
  readonly teacher?: string;
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
  /** On the images that decide; absent where nothing is held out. */
  readonly selection?: Accuracy;
  /** On images for the report only: test/, or val/ with --report-on val. */
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
  /** On images for the report only: test/, or val/ with --report-on val. */
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
