import { readFile } from 'node:fs/promises';
import { PupilError } from '../errors.js';
import type { Metrics } from '../evaluate/metrics.js';

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
}

/** Reads `evaluation.json`; undefined when there is none. Throws `bad-data` when it is damaged. */
export async function readEvaluation(path: string): Promise<Evaluation | undefined> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (text === undefined) return undefined;
  let value: Partial<Evaluation>;
  try {
    value = JSON.parse(text) as Partial<Evaluation>;
  } catch (error) {
    throw new PupilError('bad-data', `${path}: not valid JSON (${(error as Error).message}); evaluate the run again`);
  }
  const { perClass, confusion } = value;
  if (perClass === undefined || !Array.isArray(confusion))
    throw new PupilError('bad-data', `${path}: holds no evaluation; evaluate the run again`);
  const classes = value.classes ?? Object.keys(perClass);
  const index = new Map(classes.map((name, i) => [name, i]));
  const asIndex = (label: number | string): number => (typeof label === 'number' ? label : (index.get(label) ?? -1));
  const predictions = (value.predictions ?? []).map((item) => ({
    ...item,
    label: asIndex(item.label),
    predicted: asIndex(item.predicted),
  }));
  return { ...(value as Metrics), ...(value.split === undefined ? {} : { split: value.split }), classes, predictions };
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
