/**
 * What the JSON files of a run folder hold (run-files.ts says which). Shares and accuracies are in
 * [0, 1], times in seconds; `interval` is the half-width of the 95% interval. An absent optional
 * field leaves out what the report would show of it.
 */
import type { PseudoLabelDescription } from '../data/pseudo-labels.js';
import type { RanOn } from '../engine/index.js';
import type { BackboneSource } from '../models/model.js';

/** run.json: what the run is, and what made it. */
export interface RunConfig<Settings = unknown> {
  readonly command: string;
  /** Every choice made; a resumed run keeps them. */
  readonly settings: Settings;
  /** Why settings that nobody gave are what they are, where they follow from the images; by their names. */
  readonly reasons?: Readonly<Record<string, string>> | undefined;
  /** How a search does each of its trainings. */
  readonly training?: object | undefined;
  readonly classes?: readonly string[] | undefined;
  readonly dataHash?: string | undefined;
  /** Of the order and the names of the images: results depend on them too. */
  readonly filesHash?: string | undefined;
  readonly architecture?: string | undefined;
  /** The pretrained network that it began with. */
  readonly backbone?: BackboneSource | undefined;
  /** Other pretrained networks that it learned from. */
  readonly teachers?: readonly BackboneSource[] | undefined;
  readonly versions: Readonly<Record<string, string>>;
  /** The engine in words, with its version. */
  readonly engine?: string | undefined;
  /** The engine by name. */
  readonly ranOn?: RanOn | undefined;
  /** Its name among the machines that train one network through a folder (shared-folder.ts). */
  readonly machine?: string | undefined;
  /** The working directory, where relative paths begin, and the run's folder when it was begun. */
  readonly begun?: { readonly folder: string; readonly run: string } | undefined;
  /** SHA-256 of the rest: a run whose run.json was edited does not go on. */
  readonly checksum?: string | undefined;
}

/** result.json: what the command prints with `--json`; it is written last. */
export interface RunResult {
  /** The run folder. */
  readonly run: string;
  readonly seconds: number;
}

export interface ClassMetrics {
  /**
   * Share of this class's images that were recognised; NaN-free: 0 when the class has no images.
   */
  readonly recall: number;
  /** Share of the images called this class that are of it; 0 when nothing was called so. */
  readonly precision: number;
  readonly count: number;
}

/** How good predictions are. `loss` is the mean cross-entropy in nats. */
export interface Metrics {
  readonly top1: number;
  readonly top5: number;
  /** Mean recall of the classes that have images. */
  readonly balanced: number;
  readonly count: number;
  /**
   * As how many independent images these count, where some are copies of others or look nearly the same: intervals are
   * those of so many (`effectiveCount`). No whole number. Absent: all differ.
   */
  readonly independent?: number | undefined;
  readonly loss: number;
  /** Expected calibration error, 15 equal-width bins (Guo et al. 2017). */
  readonly ece: number;
  /** What that is on average where confidences are honest, for so many images. Absent: not known. */
  readonly eceByChance?: number | undefined;
  readonly perClass: Readonly<Record<string, ClassMetrics>>;
  /** confusion[truth][predicted]. */
  readonly confusion: readonly (readonly number[])[];
  /**
   * Of `count`, the images whose label a model had suggested and a person accepted, but for those of `drawn`: it was
   * sure of them, so they are easier than others. Absent: none.
   */
  readonly accepted?: number | undefined;
  /**
   * On those that were drawn at random, where the others were chosen to be labelled: a fair sample, unlike all. Absent:
   * no such image, or all are.
   */
  readonly drawn?: Pick<Metrics, 'top1' | 'count' | 'independent'> | undefined;
}

/** What the model said of one image. */
export interface ImageResult {
  readonly path: string;
  readonly label: string;
  readonly predicted: string;
  readonly confidence: number;
  /** What it shares with copies, and what looks nearly the same, among the images measured; absent: it is alone. */
  readonly group?: string | undefined;
}

/** evaluation.json */
export interface EvaluationFile extends Metrics {
  /** The images that it was measured on, in words. */
  readonly split: string;
  /** In index order. */
  readonly classes: readonly string[];
  readonly predictions: readonly ImageResult[];
  /** How many of them it takes for none of its classes; absent where it had not learned that when it was measured. */
  readonly refused?: number | undefined;
  /** Absent where nothing was held out to calibrate on. */
  readonly calibration?:
    { readonly temperature: number; readonly eceBefore: number; readonly eceAfter: number } | undefined;
}

/** learned.json: the images that the model learned from, by their hashes; some without their labels. */
export interface LearnedFile {
  readonly labelled: readonly string[];
  readonly unlabelled: readonly string[];
  /** Hashes of their pixels, as far as known: a PNG of a JPEG shows the same. Absent in older files. */
  readonly pixels?: readonly string[] | undefined;
}

/** selection.json: what the model, or with folds its like, said of images it did not learn from. */
export interface SelectionFile {
  readonly images: readonly {
    readonly path: string;
    readonly right: boolean;
    /** As in evaluation.json. */
    readonly group?: string | undefined;
    /** Of the calibrated probability of its class, nats. */
    readonly loss: number;
    readonly logits: readonly number[];
  }[];
}

/** work-time.json */
export interface WorkTimeFile {
  /** In all sessions. */
  readonly seconds: number;
}

/** automatic.json: what stands for `auto`. */
export interface AutomaticFile {
  readonly batchSize: number;
  readonly lr: number;
  readonly backboneLr?: number | undefined;
}

/** A measured accuracy. */
export interface Accuracy {
  readonly top1: number;
  /** Half-width of its 95% interval: the longer side of it, where it has two ends. */
  readonly interval?: number | undefined;
  /** The ends of its 95% interval; absent in the mean over seeds, whose interval is symmetric. */
  readonly low?: number | undefined;
  readonly high?: number | undefined;
  /** Images that it was measured on. */
  readonly count?: number | undefined;
  /** As how many independent ones they count; absent: as so many. */
  readonly independent?: number | undefined;
}

/** An accuracy on images that decide nothing. */
export interface Reported extends Accuracy {
  /** Which they are: test/, or val/ with `reportOn: val`; absent: test/. */
  readonly split?: 'val' | 'test' | undefined;
}

/** How much more accurate than the best before. */
export interface Gain {
  readonly mean: number;
  readonly interval?: number | undefined;
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
  readonly right?: number | undefined;
  /** How many the truth is known of. */
  readonly known?: number | undefined;
  /** By class: the share kept of what was predicted to be it, and its share of all predictions. */
  readonly perClass?: Readonly<Record<string, { readonly kept: number; readonly predicted: number }>> | undefined;
  /** Confidence asked of each class, where that is learned (FlexMatch, FreeMatch). */
  readonly thresholds?: Readonly<Record<string, number>> | undefined;
}

/** What a teacher said of the unlabelled images. */
export interface PseudoLabelRound extends PseudoLabelDescription {
  /** Of self-training from 1; of a ladder that of its round, 0 for the consensus before these. */
  readonly round: number;
  /** What a ladder calls the rung that made them, or that learns what its teacher made. */
  readonly name?: string | undefined;
  /** The run or model that labelled. */
  readonly teacher?: string | undefined;
  /** Share of labels that are not what they were the round before. */
  readonly moved?: number | undefined;
  /** Images unlike any class. */
  readonly outOfDistribution?: { readonly count: number; readonly paths: readonly string[] } | undefined;
}

/** pseudo-labels.json */
export interface PseudoLabelsFile {
  readonly rounds: readonly PseudoLabelRound[];
}

/** One student of self-training; round 0 is the first teacher. */
export interface StudentRound {
  readonly round: number;
  readonly student: string;
  readonly parameters?: number | undefined;
  /** On the images that decide; absent where nothing is held out. */
  readonly selection?: Accuracy | undefined;
  /** On images for the report only, whichever split they are. */
  readonly test?: Reported | undefined;
  /** Over the best before; absent in round 0. */
  readonly gain?: Gain | undefined;
  readonly helped?: boolean | undefined;
  readonly seconds: number;
  /** Its run, relative to the folder of the file. */
  readonly run?: string | undefined;
}

/** rounds.json */
export interface RoundsFile {
  /** The round whose student is the result. */
  readonly kept: number;
  readonly rounds: readonly StudentRound[];
  /** Why no further round was trained. */
  readonly stopped?: string | undefined;
}

/** One technique that `learn` tried, or left out. */
export interface Rung {
  readonly name: string;
  /** The technique in a few words. */
  readonly what?: string | undefined;
  readonly model?: string | undefined;
  readonly parameters?: number | undefined;
  /** On the images that decide; absent when skipped. */
  readonly selection?: Accuracy | undefined;
  /** On images for the report only, whichever split they are. */
  readonly test?: Reported | undefined;
  /** Over the best before; absent in the first rung. */
  readonly gain?: Gain | undefined;
  /** Whether accuracy and gain on held-out labels may be too high: what it learned from had seen something of these. */
  readonly optimistic?: boolean | undefined;
  readonly kept: boolean;
  /** Why it was kept, not kept or skipped. */
  readonly reason?: string | undefined;
  readonly seconds?: number | undefined;
  readonly expectedSeconds?: number | undefined;
  /** Its run, relative to the folder of the file. */
  readonly run?: string | undefined;
  readonly skipped?: boolean | undefined;
  /** Whether it was left out, or left, for want of time. */
  readonly lackedTime?: boolean | undefined;
}

/** ladder.json */
export interface LadderFile {
  readonly rungs: readonly Rung[];
  /** Name of the rung whose model is the result. */
  readonly kept?: string | undefined;
  readonly budgetMinutes?: number | undefined;
  /** Of all sessions, an interrupted one included. */
  readonly seconds?: number | undefined;
  /** Why nothing more was tried. */
  readonly stopped?: string | undefined;
  /** What was being tried when the file was written, and the seconds that it has taken in all sessions. */
  readonly underWay?: { readonly name: string; readonly seconds: number } | undefined;
}

/** What a technique brought over several seeds. */
export interface SeedsRow {
  readonly name: string;
  /** Of how many seeds it was kept. */
  readonly kept: number;
  /** Means over the seeds that measured it, `count` of them; on held-out labels, and on images for the report only. */
  readonly selection?: Accuracy | undefined;
  readonly test?: Accuracy | undefined;
  /** In the mean over the seeds that tried it. */
  readonly seconds: number;
}

/** seeds.json: a ladder that was climbed by several seeds. */
export interface SeedsFile {
  readonly seeds: readonly number[];
  /** The seed whose run this is: the best on held-out labels. */
  readonly kept: number;
  readonly techniques: readonly SeedsRow[];
}

/** plan.json: what a ladder will do. */
export interface LadderPlan {
  /** In order. */
  readonly rungs: readonly PlannedRung[];
  /** How many images without labels take part, where the time is too short for all. */
  readonly unlabelled?: number | undefined;
  /** What follows the last rung, until the report is there. */
  readonly closingSeconds?: number | undefined;
  /** Why what nobody asked for is as it is, by the names of options. */
  readonly reasons?: Readonly<Record<string, string>> | undefined;
}

/** A rung before it is tried. */
export interface PlannedRung {
  readonly name: string;
  /** In the time given; 0 where it does not fit. */
  readonly expectedSeconds: number;
  /** Without a limit. */
  readonly usualSeconds?: number | undefined;
  /** Of its shortest form. */
  readonly leastSeconds?: number | undefined;
  /** What its trainings take beside their steps; of rounds in one of them. */
  readonly besideSeconds?: number | undefined;
  /** Where a time is given: as long as it can use more. */
  readonly mostSeconds?: number | undefined;
  /** Why it is not tried. */
  readonly skip?: string | undefined;
}

/** What a search by successive halving trains. Cells are numbers from 0. */
export interface HalvingPlan {
  readonly cells: number;
  /**
   * A cell that is never dropped, so that the winner can be compared with it at every length of
   * training.
   */
  readonly baseline?: number | undefined;
  /** Trainings of each cell in each rung. */
  readonly seeds: number;
  /** Epochs of each rung, rising; the last one is a full training. */
  readonly rungs: readonly number[];
  /** One in so many cells is kept from rung to rung. */
  readonly eta: number;
}

/** What one training of a search gave on the held-out images. */
export interface Measurement {
  readonly cell: number;
  readonly rung: number;
  readonly seed: number;
  readonly top1: number;
  /** Mean cross-entropy; null when the training diverged. */
  readonly loss: number | null;
  /** For each held-out image in order: `1` where the model is right, else `0`. */
  readonly right: string;
  readonly seconds: number;
}

/** search.json: the plan of a search, and every finished training. */
export interface SearchFile {
  readonly cells: readonly {
    readonly policy: string;
    readonly n?: number | undefined;
    readonly m?: number | undefined;
  }[];
  readonly plan: HalvingPlan;
  /**
   * Held-out images: how many each fold has, or one number without folds. Seed s is measured on fold
   * s, and begins again at the first after the last.
   */
  readonly heldOut: readonly number[];
  /** Of each of these images what it shares with its copies, null where it is alone; absent: all are. */
  readonly groups?: readonly (readonly (string | null)[])[] | undefined;
  readonly measured: readonly Measurement[];
}

/** warnings.json: what was warned of while the run was made, each once, in all sessions. */
export interface WarningsFile {
  readonly warnings: readonly string[];
}

/** alike.json: images in two splits that look alike. */
export interface AlikeFile {
  /** How many pairs there are. */
  readonly count: number;
  /** The first of them, the image of the measured split second where the other is learned from. */
  readonly pairs: readonly {
    readonly first: AlikeImage;
    readonly second: AlikeImage;
    readonly samePixels: boolean;
  }[];
}

export interface AlikeImage {
  readonly path: string;
  readonly split: string;
  readonly label?: string | undefined;
}
