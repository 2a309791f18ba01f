import { withSamples } from '../data/dataset.js';
import { isLabelled, type Dataset, type Sample } from '../data/sample.js';
import { different, keepLabels, selectionSplit } from '../data/split.js';
import { Random } from '../random.js';
import type { Counts } from '../runs/expected.js';
import type { TrainOptions } from '../runs/resolve.js';

export type { Counts } from '../runs/expected.js';

/** Labels to learn from with others to choose on: all of them, or those outside one fold. */
export interface Part {
  /** '' for the whole, whose model is the result; `fold 1`... */
  readonly name: string;
  /** What is added to the name of a training's folder. */
  readonly folder: string;
  readonly data: Dataset;
  readonly options: TrainOptions;
  /** Whether its selection images count when techniques are compared. */
  readonly decides: boolean;
}

export interface PartsOptions {
  readonly seed: number;
  readonly labelsPerClass?: number | undefined;
  readonly reportOn?: 'val' | 'test' | undefined;
  /** Where labels are too few to hold any out. */
  readonly folds: number;
  /** Below how many different labels they are; default 200. */
  readonly foldsBelow?: ((counts: Counts) => number | undefined) | undefined;
  /** Whether one fold is enough to measure on: the trainings are long. */
  readonly oneFold?: ((counts: Counts) => boolean) | undefined;
}

/**
 * The parts of a checked data set that every training of a chain runs on. With `val/`, or enough
 * labels to hold some out, there is one. Few labels are split in folds, and the chain runs in each,
 * its teachers too: a student is then measured on labels that no teacher of its own has seen. The
 * whole comes last.
 */
export function partsOf(clean: Dataset, options: PartsOptions): Part[] {
  const { seed, labelsPerClass, reportOn, folds } = options;
  const kept = labelsPerClass === undefined ? clean : withFewLabels(clean, labelsPerClass, seed);
  const foldsBelow = options.foldsBelow?.(countsOf(kept)),
    tried = options.oneFold?.(countsOf(kept)) === true ? 1 : folds;
  const { selection } = selectionSplit(kept, { seed, reportOnVal: reportOn === 'val', folds, foldsBelow });
  // Folds are the chain's: a training of the whole has none of its own.
  const report: TrainOptions = { seed, folds: 0, reportOn };
  const whole: Part = { name: '', folder: '', data: kept, options: report, decides: selection.kind !== 'none' };
  if (selection.kind !== 'folds') return [whole];
  const unlabelled = kept.samples.filter(({ split }) => split === 'unlabelled');
  return [
    ...selection.folds.slice(0, tried).map((fold, i): Part => ({
      name: `fold ${i + 1} of ${selection.folds.length}`,
      folder: `fold-${i + 1}`,
      options: { seed },
      decides: true,
      data: withSamples(kept, [
        ...fold.train,
        ...fold.selection.map((sample): Sample => ({ ...sample, split: 'val' })),
        ...unlabelled,
      ]),
    })),
    { ...whole, decides: false },
  ];
}

function withFewLabels(dataset: Dataset, perClass: number, seed: number): Dataset {
  const { labelled, unlabelled } = keepLabels(dataset.samples.filter(isLabelled), perClass, seed);
  return withSamples(dataset, [...labelled, ...dataset.samples.filter((sample) => !isLabelled(sample)), ...unlabelled]);
}

/** The parts with so many of the unlabelled images, the same in each. */
export function withUnlabelled(parts: readonly Part[], count: number, seed: number): Part[] {
  const unlabelled = parts.at(-1)!.data.samples.filter(({ split }) => split === 'unlabelled');
  const kept = new Set(
    new Random(seed, 'unlabelled images that take part')
      .shuffle(unlabelled)
      .slice(0, count)
      .map(({ path }) => path),
  );
  return parts.map((part) => ({
    ...part,
    data: withSamples(
      part.data,
      part.data.samples.filter(({ split, path }) => split !== 'unlabelled' || kept.has(path)),
    ),
  }));
}

/** Whether there are held-out images to choose on. */
export const canChoose = (parts: readonly Part[]): boolean => parts.some(({ decides }) => decides);

export function countsOf({ samples }: Dataset): Counts {
  const labels = samples.filter(isLabelled),
    labelled = labels.length,
    distinct = different(labels);
  return {
    labelled,
    unlabelled: samples.filter(({ split }) => split === 'unlabelled').length,
    ...(distinct < labelled ? { different: distinct } : {}),
  };
}

/** A path of something for a part: that of the whole with the part's name added. */
export const pathFor = (part: Part, path: string): string => (part.folder === '' ? path : `${path}-${part.folder}`);
