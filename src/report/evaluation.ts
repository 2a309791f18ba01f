import type { EvaluationFile, Metrics } from '../artifact/formats.js';
import { runFiles } from '../artifact/run-files.js';
import { list } from '../data/words.js';
import {
  balancedInterval,
  besideChance,
  effectiveCount,
  independentOf,
  showsMoreThanChance,
  wilson,
} from '../evaluate/metrics.js';
import { percent } from './format.js';
import { rangeText } from './intervals.js';

/** One image of an evaluation. Classes are indexes into `Evaluation.classes`. */
export interface Prediction {
  readonly path: string;
  readonly label: number;
  readonly predicted: number;
  /** Probability of the predicted class. */
  readonly confidence: number;
  /** What it shares with copies among the images measured; absent: it is alone. */
  readonly group?: string | undefined;
}

/**
 * What `evaluation.json` of a run folder holds: the metrics, the classes in index order, and every
 * image's prediction.
 */
export interface Evaluation extends Metrics {
  readonly classes: readonly string[];
  readonly split?: string;
  readonly predictions: readonly Prediction[];
  readonly calibration?: EvaluationFile['calibration'];
  readonly refused?: EvaluationFile['refused'];
  /** Whether what was measured has seen something of the labels of these images (ladder.json). */
  readonly optimistic?: boolean | undefined;
}

/** Reads `evaluation.json` of a run; undefined when there is none. Throws `bad-data` when it is damaged. */
export async function readEvaluation(folder: string): Promise<Evaluation | undefined> {
  const file = await runFiles.evaluation.read(folder);
  if (file === undefined) return undefined;
  const index = new Map(file.classes.map((name, i) => [name, i]));
  const predictions = file.predictions.map((image) => ({
    ...image,
    label: index.get(image.label) ?? -1,
    predicted: index.get(image.predicted) ?? -1,
  }));
  // What is wrong with that file its own section says.
  const ladder = await runFiles.ladder.read(folder).catch(() => undefined);
  const optimistic = ladder?.rungs.find(({ name }) => name === ladder.kept)?.optimistic;
  return { ...file, predictions, optimistic };
}

/** A pair of classes that were confused. */
export interface Confusion {
  readonly truth: number;
  readonly predicted: number;
  readonly count: number;
}

/** The images that `split` of an evaluation stands for. */
export const measuredOn = (split: string | undefined): string =>
  split === 'test'
    ? 'test images'
    : split === 'val'
      ? 'validation images'
      : split === 'held out of train'
        ? 'training images that were held out'
        : 'images';

/** What a person should know of accepted labels among those measured; undefined: there are none. */
export const easierThanOthers = ({ count, accepted = 0 }: Pick<Metrics, 'count' | 'accepted'>): string | undefined =>
  accepted === 0
    ? undefined
    : `The labels of ${accepted === count ? 'all' : `${accepted} of the ${count}`} were suggested by a model and ` +
      'accepted: it was sure of these images, so expect less on others. Label two images of each class by hand.';

/**
 * What a person should know of images that were chosen to be labelled, among others that were drawn at random;
 * undefined: there are none, or only such.
 */
export function fairPart({ count, drawn }: Pick<Metrics, 'count' | 'drawn'>): string | undefined {
  if (drawn === undefined) return undefined;
  const interval = rangeText(wilson(drawn.top1, independentOf(drawn)));
  return (
    `${drawn.count} of the ${count} were drawn at random among all images: on these the accuracy is ` +
    `${percent(drawn.top1)} (95% interval ${interval}). The others were chosen to be labelled, which makes them ` +
    'harder or easier than usual: expect on new images what was measured on those drawn.'
  );
}

/** That some of the images measured are copies of others; undefined: all differ. */
export const aboutCopies = ({ count, independent }: Pick<Metrics, 'count' | 'independent'>): string | undefined =>
  independent === undefined
    ? undefined
    : `Copies and near copies among them tell nothing new: in the interval these ${count} count as ` +
      `${Math.round(independent)}.`;

/** What a person should know of the images measured and how they came by their labels, one line each. */
export const aboutImages = (measured: Pick<Metrics, 'count' | 'independent' | 'accepted' | 'drawn'>): string[] =>
  [aboutCopies(measured), fairPart(measured), easierThanOthers(measured)].filter((line) => line !== undefined);

/**
 * What a person should know of an evaluation that shows no more than chance does; undefined: it shows more. A model
 * that calls every image by the name of the largest class has a high accuracy and has learned nothing.
 */
export function aboutChance({
  top1,
  count,
  independent,
  confusion,
  classes,
}: Pick<Evaluation, 'top1' | 'count' | 'independent' | 'confusion' | 'classes'>): string | undefined {
  const measured = confusion.filter((row) => row.some((n) => n > 0)).length;
  if (measured < 2) return undefined;
  const called = classes.filter((_, c) => confusion.some((row) => row[c]! > 0));
  if (called.length === 1)
    return `Every image is called ${called[0]}: the accuracy is the share that ${called[0]} has among them.`;
  const right = Math.round(top1 * count);
  if (showsMoreThanChance(right, count, classes.length, independent)) return undefined;
  return `It is ${besideChance(right, count, classes.length, 'of these')}.`;
}

/** The calibration error, and beside it what so few images show where confidences are honest, if that is much of it. */
export const calibrationErrorText = ({ ece, eceByChance = 0 }: Pick<Metrics, 'ece' | 'eceByChance'>): string =>
  percent(ece) + (eceByChance > ece / 3 ? ` (by chance alone ${percent(eceByChance)})` : '');

const decisions = new Map([
  ['learn', 'which technique is kept'],
  ['self-train', 'which round is kept'],
  ['finetune', 'which epoch is kept'],
  ['scratch', 'which epoch is kept'],
]);

/** What the images of an evaluation also decided, by a run's configuration; undefined: nothing. */
export function alsoDecided(
  config: object,
  { split, optimistic }: Pick<Evaluation, 'split' | 'optimistic'>,
): string | undefined {
  const { command, settings } = config as { command?: unknown; settings?: { reportOn?: unknown; mode?: unknown } };
  if (split === 'test' || (split === 'val' && settings?.reportOn === 'val')) return undefined;
  const decided = decisions.get(String(command)) ?? decisions.get(String(settings?.mode));
  const seen = optimistic ? ', which has seen something of them' : '';
  const less = ': on new images expect a little less. A test/ folder measures that.';
  return decided && `They also decided ${decided}${seen}${less}`;
}

/** A balanced accuracy with its 95% interval. */
export const balancedText = (metrics: Pick<Metrics, 'balanced' | 'perClass' | 'count' | 'independent'>): string =>
  `${percent(metrics.balanced)} (${rangeText(balancedInterval(metrics))})`;

/** Whether every class has images among those of an evaluation: else no mean over classes stands for all of them. */
export const hasAllClasses = (evaluation: Pick<Evaluation, 'classes' | 'perClass'>): boolean =>
  withoutImages(evaluation).length === 0;

const withoutImages = ({ classes, perClass }: Pick<Evaluation, 'classes' | 'perClass'>): string[] =>
  classes.filter((name) => Object.hasOwn(perClass, name) && perClass[name]!.count === 0);

/** Which classes no image of an evaluation has, one sentence; undefined: all have some. */
export function notMeasured(evaluation: Pick<Evaluation, 'classes' | 'perClass'>): string | undefined {
  const names = withoutImages(evaluation);
  return names.length === 0 ? undefined : `Not measured, without an image: ${list(names, 30)}.`;
}

/** Pairs of different classes by how often the first was called the second, most often first. */
export const confusions = ({ confusion }: Pick<Metrics, 'confusion'>): Confusion[] =>
  confusion
    .flatMap((row, truth) =>
      row.flatMap((count, predicted) => (count > 0 && truth !== predicted ? [{ truth, predicted, count }] : [])),
    )
    .sort((a, b) => b.count - a.count || a.truth - b.truth || a.predicted - b.predicted);

/** Wrong predictions, the most confident first. */
export const worst = ({ predictions }: Pick<Evaluation, 'predictions'>): Prediction[] =>
  predictions
    .filter(({ label, predicted }) => label !== predicted)
    .sort((a, b) => b.confidence - a.confidence || (a.path < b.path ? -1 : 1));

/** How often predictions of about the same confidence are right. */
export interface ReliabilityBin {
  /** Mean confidence, and share of right ones with its 95% interval. */
  readonly confidence: number;
  readonly accuracy: number;
  readonly interval: readonly [low: number, high: number];
  readonly count: number;
}

/** Predictions in tenths of confidence (a reliability diagram: Niculescu-Mizil and Caruana 2005). */
export function reliability({ predictions }: Pick<Evaluation, 'predictions'>): ReliabilityBin[] {
  const bins = Array.from({ length: 10 }, () => ({
    ...{ confidence: 0, right: 0, count: 0 },
    groups: [] as (string | undefined)[],
  }));
  for (const { confidence, label, predicted, group } of predictions) {
    const bin = bins[Math.min(9, Math.floor(10 * confidence))];
    if (bin === undefined) continue; // no number, or none from 0 to 1
    bin.confidence += confidence;
    bin.right += label === predicted ? 1 : 0;
    bin.count++;
    bin.groups.push(group);
  }
  return bins.flatMap(({ confidence, right, count, groups }) =>
    count === 0
      ? []
      : [
          {
            confidence: confidence / count,
            accuracy: right / count,
            interval: wilson(right / count, effectiveCount(groups)),
            count,
          },
        ],
  );
}

/** Right predictions of a class, the surest and the least sure first in turn. */
export function recognised({ predictions }: Pick<Evaluation, 'predictions'>, label: number): Prediction[] {
  const right = predictions
    .filter((image) => image.label === label && image.predicted === label)
    .sort((a, b) => b.confidence - a.confidence || (a.path < b.path ? -1 : 1));
  return right.map((_, i) => right[i % 2 === 0 ? i / 2 : right.length - (i + 1) / 2]!);
}
