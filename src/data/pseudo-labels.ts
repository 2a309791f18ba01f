/**
 * Labels that a teacher gives to images without any: which of them are learned from, and how often
 * (Lee 2013; confidence threshold and balance as in Noisy Student, Xie et al. 2020).
 */
import { PupilError } from '../errors.js';

/** What a teacher says of an image without a label. */
export interface PseudoLabel {
  readonly path: string;
  /** Of the content, as `Sample.hash`; '' when not known. */
  readonly hash: string;
  /** Index into `PseudoLabels.classes`. */
  readonly label: number;
  /** Calibrated probability of `label`, 0 to 1. */
  readonly confidence: number;
  /** [classes], calibrated. */
  readonly probabilities: Float32Array;
  readonly accepted: boolean;
  /**
   * How often it stands in the training set (balancing duplicates short classes); 0 when not
   * accepted.
   */
  readonly copies: number;
}

export interface PseudoLabels {
  readonly classes: readonly string[];
  readonly rows: readonly PseudoLabel[];
  /** Whether the probabilities are learned from instead of the labels. */
  readonly soft?: boolean;
  /** The pretrained networks whose knowledge is in the labels, and their licences; null: unknown. */
  readonly teachers?: readonly { readonly name: string | null; readonly licence: string | null }[];
  /** The confidence from which labels were accepted, where they come from `selectPseudoLabels`. */
  readonly threshold?: number;
}

export interface SelectOptions {
  /** Labels of at least this confidence are accepted, 0 to 1. */
  readonly threshold: number;
  /** Of each class, at most so many of the most confident. */
  readonly perClass?: number;
  /**
   * Duplicates images of short classes until each class has `perClass`, or as many as the largest;
   * default when `perClass` is given. A class that nothing was labelled as stays empty.
   */
  readonly balance?: boolean;
  /**
   * Paths that are not accepted whatever their confidence, such as those of images unlike any
   * class.
   */
  readonly rejected?: ReadonlySet<string>;
}

/**
 * Decides anew which labels are accepted and how often each stands in the training set. Copies are
 * spread evenly over a short class, what does not divide goes to the most confident (Xie et al.
 * 2020, section 3.1). Throws `usage` for an impossible threshold or `perClass`.
 */
export function selectPseudoLabels(labels: PseudoLabels, options: SelectOptions): PseudoLabels {
  const { threshold, perClass, balance = perClass !== undefined, rejected } = options;
  checkSelection(options);
  const { classes, rows } = labels;
  const candidates = classes.map((): number[] => []);
  rows.forEach(({ path, label, confidence }, i) => {
    if (confidence >= threshold && rejected?.has(path) !== true) candidates[label]!.push(i);
  });
  const chosen = candidates.map((members) => byConfidence(members, rows).slice(0, perClass));
  const wanted = perClass ?? chosen.reduce((most, members) => Math.max(most, members.length), 0);
  const copies = new Map<number, number>();
  for (const members of chosen) {
    const { each, extra } = sharesOf(wanted, members.length);
    members.forEach((row, rank) => copies.set(row, balance ? each + (rank < extra ? 1 : 0) : 1));
  }
  return {
    ...labels,
    threshold,
    rows: rows.map((row, i) => ({ ...row, accepted: copies.has(i), copies: copies.get(i) ?? 0 })),
  };
}

/** How often each of `members` stands for one of `wanted` places, and how many of them once more. */
export const sharesOf = (wanted: number, members: number): { readonly each: number; readonly extra: number } => ({
  each: Math.floor(wanted / members),
  extra: wanted % members,
});

/** Throws `usage` for an impossible threshold or `perClass`. */
export function checkSelection({ threshold, perClass }: SelectOptions): void {
  if (!(threshold >= 0 && threshold <= 1))
    throw new PupilError('usage', `threshold ${threshold}: give a confidence from 0 to 1, such as 0.3`, {
      option: 'threshold',
    });
  if (perClass !== undefined && !(Number.isInteger(perClass) && perClass >= 1)) {
    throw new PupilError('usage', `${perClass} pseudo-labels per class: give a whole number, 1 or more`);
  }
}

/** Indexes of rows, the most confident first; equally confident ones keep their order. */
const byConfidence = (indexes: readonly number[], rows: readonly PseudoLabel[]): number[] =>
  [...indexes].sort((a, b) => rows[b]!.confidence - rows[a]!.confidence || a - b);

/**
 * What an image is taught as [classes]: its probabilities where they are soft, else one-hot of its
 * label.
 */
export const pseudoTarget = (
  { classes, soft = false }: PseudoLabels,
  { label, probabilities }: PseudoLabel,
): Float32Array => (soft ? probabilities : Float32Array.from(classes, (_, c) => Number(c === label)));

/** What was labelled as one class. */
export interface PseudoClassDescription {
  readonly predicted: number;
  readonly accepted: number;
  /** Places in the training set. */
  readonly copies: number;
  /** Over all that were predicted; 0 when there are none. */
  readonly meanConfidence: number;
  /** Of those predicted, how many have a known true label, and how many of these are right. */
  readonly known?: number | undefined;
  readonly right?: number | undefined;
}

/**
 * Pseudo-labels in numbers, as JSON for metrics and reports. Images that were set aside as ones of no class have no
 * label: they count in `total` alone.
 */
export interface PseudoLabelDescription {
  readonly total: number;
  readonly accepted: number;
  readonly threshold?: number | undefined;
  /** Over all images that have a label; 0 when there are none. */
  readonly meanConfidence: number;
  /** Images by confidence, in tenths. */
  readonly histogram: readonly number[];
  readonly acceptedHistogram: readonly number[];
  /** By class name. */
  readonly perClass: Readonly<Record<string, PseudoClassDescription>>;
  readonly truth?:
    | {
        readonly known: number;
        readonly right: number;
        readonly acceptedKnown: number;
        readonly acceptedRight: number;
      }
    | undefined;
  /** Up to 6 accepted paths of each class, the most confident first. */
  readonly samples: Readonly<Record<string, readonly string[]>>;
  /** Up to 12 paths, the least confident first. */
  readonly doubtful: readonly string[];
}

/** The paths of the most confident rows of all that are added; of the least confident where `isReversed`. */
class Foremost {
  readonly #rows: { readonly path: string; readonly confidence: number }[] = [];

  /** Of equally confident rows the earlier stands before, or behind where `isReversed`. */
  constructor(
    readonly limit: number,
    readonly isReversed = false,
  ) {}

  add({ path, confidence }: PseudoLabel): void {
    const rows = this.#rows;
    const standsBefore = (other: { readonly confidence: number }): boolean =>
      this.isReversed ? other.confidence < confidence : other.confidence >= confidence;
    let place = rows.length;
    while (place > 0 && !standsBefore(rows[place - 1]!)) place--;
    if (place >= this.limit) return;
    rows.splice(place, 0, { path, confidence });
    if (rows.length > this.limit) rows.pop();
  }

  get paths(): string[] {
    return this.#rows.map(({ path }) => path);
  }
}

/** Counts pseudo-labels, one after the other. */
export interface PseudoLabelTally {
  /** `isAside`: whether the image looks like none of the classes. */
  add(row: PseudoLabel, isAside?: boolean): void;
  describe(): PseudoLabelDescription;
}

/**
 * Statistics of pseudo-labels. `truth` gives the true label of an image where it is known:
 * accuracies are then counted too.
 */
export function tallyPseudoLabels(
  { classes, threshold }: Pick<PseudoLabels, 'classes' | 'threshold'>,
  truth?: (path: string, hash: string) => number | undefined,
): PseudoLabelTally {
  const histogram = new Array<number>(10).fill(0),
    acceptedHistogram = new Array<number>(10).fill(0);
  const perClass = classes.map(() => ({ predicted: 0, accepted: 0, copies: 0, confidence: 0, known: 0, right: 0 }));
  const samples = classes.map(() => new Foremost(6));
  const doubtful = new Foremost(12, true);
  const all = { known: 0, right: 0, acceptedKnown: 0, acceptedRight: 0 };
  let total = 0,
    labelled = 0,
    accepted = 0,
    confidence = 0;
  const mean = (sum: number, count: number): number => (count === 0 ? 0 : sum / count);
  return {
    add(row, isAside = false) {
      total++;
      if (isAside) return;
      const counts = perClass[row.label]!,
        tenth = Math.min(9, Math.floor(row.confidence * 10));
      labelled++;
      histogram[tenth]!++;
      confidence += row.confidence;
      counts.predicted++;
      counts.confidence += row.confidence;
      doubtful.add(row);
      if (row.accepted) {
        accepted++;
        acceptedHistogram[tenth]!++;
        counts.accepted++;
        counts.copies += row.copies;
        samples[row.label]!.add(row);
      }
      const known = truth?.(row.path, row.hash);
      if (known === undefined) return;
      const right = Number(known === row.label);
      counts.known++;
      counts.right += right;
      all.known++;
      all.right += right;
      if (row.accepted) {
        all.acceptedKnown++;
        all.acceptedRight += right;
      }
    },
    describe: () => ({
      total,
      accepted,
      threshold,
      meanConfidence: mean(confidence, labelled),
      histogram,
      acceptedHistogram,
      perClass: Object.fromEntries(
        classes.map((name, c): [string, PseudoClassDescription] => {
          const { predicted, accepted: taken, copies, confidence: sum, known, right } = perClass[c]!;
          return [
            name,
            {
              predicted,
              accepted: taken,
              copies,
              meanConfidence: mean(sum, predicted),
              known: truth && known,
              right: truth && right,
            },
          ];
        }),
      ),
      truth: truth && all,
      samples: Object.fromEntries(classes.map((name, c) => [name, samples[c]!.paths])),
      doubtful: doubtful.paths,
    }),
  };
}

/** `tallyPseudoLabels` of all at once. `isAside`: which images look like none of the classes. */
export function describePseudoLabels(
  labels: PseudoLabels,
  truth?: (path: string, hash: string) => number | undefined,
  isAside?: (row: PseudoLabel) => boolean,
): PseudoLabelDescription {
  const tally = tallyPseudoLabels(labels, truth);
  for (const row of labels.rows) tally.add(row, isAside?.(row));
  return tally.describe();
}
