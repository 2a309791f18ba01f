/** Predictions of files as tables: counts of classes, and rows of a CSV file. */
import type { PathPrediction } from './predict-files.js';

/** How an image is called that is of no class. */
export const noneLabel = 'none of these';

const labelOf = ({ label, none }: PathPrediction): string => (none ? noneLabel : label);

/**
 * A prediction as JSON has it: without a label where the image is none of these; the confidence is that of
 * the likeliest class.
 */
export const inJson = ({ path, label, ...said }: PathPrediction): object => ({
  path,
  label: said.none ? null : label,
  ...said,
});

/** Counts images of each class, as they come. */
export interface LabelCounts {
  add(predictions: readonly PathPrediction[]): void;
  /** The largest number first. */
  sorted(): Record<string, number>;
}

export function createLabelCounts(): LabelCounts {
  const counts = new Map<string, number>();
  return {
    add(predictions) {
      for (const prediction of predictions) {
        const label = labelOf(prediction);
        counts.set(label, (counts.get(label) ?? 0) + 1);
      }
    },
    sorted: () => Object.fromEntries([...counts].sort((a, b) => b[1] - a[1])),
  };
}

export const csvTitles = ['path', 'label', 'confidence'];

/** A row under the titles; `place` is the image's path as the file names it. */
export const csvRow = (prediction: PathPrediction, place: string): string[] => [
  place,
  labelOf(prediction),
  String(Number(prediction.confidence.toPrecision(4))),
];
