import type { EvaluationFile, Metrics } from '../artifact/formats.js';
import { runFiles } from '../artifact/run-files.js';

/** One image of an evaluation. Classes are indexes into `Evaluation.classes`. */
export interface Prediction {
  readonly path: string;
  readonly label: number;
  readonly predicted: number;
  /** Probability of the predicted class. */
  readonly confidence: number;
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
  return { ...file, predictions };
}

/** A pair of classes that were confused. */
export interface Confusion {
  readonly truth: number;
  readonly predicted: number;
  readonly count: number;
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
