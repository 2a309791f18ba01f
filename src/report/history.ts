import type { Series } from './charts.js';
import type { Json } from './json.js';

/** Learning curves ready to be drawn, read from the records of metrics.jsonl. */
export interface History {
  readonly loss: readonly Series[];
  readonly accuracy: readonly Series[];
  readonly rate: readonly Series[];
  /** Epochs that were finished. */
  readonly epochs: number;
}

type Points = Series['points'];

/** The finite number that a dotted name leads to. */
function numberAt(record: Json, name: string): number | undefined {
  let value: unknown = record;
  for (const key of name.split('.'))
    value = typeof value === 'object' && value !== null ? (value as Json)[key] : undefined;
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
}

/**
 * At most `limit` points, each the mean of its neighbourhood, so that the noise of single steps
 * does not hide the trend.
 */
function thin(points: Points, limit: number): Points {
  if (points.length <= limit) return points;
  const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;
  return Array.from({ length: limit }, (_, i) => {
    const part = points.slice(Math.floor((i * points.length) / limit), Math.floor(((i + 1) * points.length) / limit));
    return { x: mean(part.map(({ x }) => x)), y: mean(part.map(({ y }) => y)) };
  });
}

/**
 * Curves over epochs from the records of metrics.jsonl: `step` (loss, learningRate), `epoch`
 * (train: loss, accuracy) and `evaluation` (selection: loss, top1), epochs counted from 1. The k-th
 * of n steps of epoch e stands at e - 1 + k / n.
 */
export function readHistory(records: readonly Json[]): History {
  const of = (type: string): Json[] => records.filter((record) => record['type'] === type);
  const epochOf = (record: Json): number => numberAt(record, 'epoch') ?? 0;
  const epochs = of('epoch'),
    evaluations = of('evaluation');
  const byEpoch = groupBy(of('step'), epochOf);
  const lengths = [...byEpoch.values()].map((steps) => steps.length);
  const full = lengths.reduce((most, length) => Math.max(most, length), 0); // an epoch that was interrupted has fewer
  const steps = [...byEpoch].flatMap(([epoch, list]) =>
    list.map((record, k) => ({ x: epoch - 1 + (k + 1) / full, record })),
  );
  const stepPoints = (name: string): Points =>
    steps.flatMap(({ x, record }) => {
      const y = numberAt(record, name);
      return y === undefined ? [] : [{ x, y }];
    });
  const epochPoints = (source: readonly Json[], name: string): Points =>
    source.flatMap((record) => {
      const y = numberAt(record, name);
      return y === undefined ? [] : [{ x: epochOf(record), y }];
    });
  const trainLoss = epochPoints(epochs, 'train.loss');
  const series = (name: string, colour: string, points: Points, faint = false): Series => ({
    name,
    colour,
    points,
    faint,
  });
  const kept = (list: readonly Series[]): Series[] => list.filter(({ points }) => points.length > 0);
  return {
    loss: kept([
      series('training, step by step', 'var(--train)', thin(stepPoints('loss'), 150), trainLoss.length > 1),
      series('training', 'var(--train)', trainLoss.length > 1 ? trainLoss : []),
      series('validation', 'var(--selection)', epochPoints(evaluations, 'selection.loss')),
    ]),
    accuracy: kept([
      series('training', 'var(--train)', epochPoints(epochs, 'train.accuracy')),
      series('validation', 'var(--selection)', epochPoints(evaluations, 'selection.top1')),
    ]),
    rate: kept([series('learning rate', 'var(--soft)', thin(stepPoints('learningRate'), 200))]),
    epochs: Math.max(0, ...epochs.map(epochOf)),
  };
}

function groupBy(records: readonly Json[], key: (record: Json) => number): Map<number, Json[]> {
  const groups = new Map<number, Json[]>();
  for (const record of records) {
    const group = groups.get(key(record));
    if (group === undefined) groups.set(key(record), [record]);
    else group.push(record);
  }
  return groups;
}
