import type { Series } from './charts.js';

type Json = Readonly<Record<string, unknown>>;

/** A learning curve ready to be drawn, read from the records of metrics.jsonl. */
export interface History {
  readonly loss: readonly Series[];
  readonly accuracy: readonly Series[];
  readonly rate: readonly Series[];
  /** Epochs that were finished. */
  readonly epochs: number;
}

const numberAt = (record: Json, ...paths: readonly string[]): number | undefined => {
  for (const path of paths) {
    let value: unknown = record;
    for (const key of path.split('.')) value = typeof value === 'object' && value !== null ? (value as Json)[key] : undefined;
    if (typeof value === 'number' && Number.isFinite(value)) return value;
  }
  return undefined;
};

/** At most `limit` points: each the mean of its neighbourhood, so that noise of single steps does not hide the trend. */
function thin(points: Series['points'], limit: number): Series['points'] {
  if (points.length <= limit) return points;
  const size = points.length / limit;
  return Array.from({ length: limit }, (_, i) => {
    const part = points.slice(Math.floor(i * size), Math.max(Math.floor(i * size) + 1, Math.floor((i + 1) * size)));
    return { x: part.reduce((sum, p) => sum + p.x, 0) / part.length, y: part.reduce((sum, p) => sum + p.y, 0) / part.length };
  });
}

/** Curves over epochs from the records of metrics.jsonl (step and epoch records in the order they were written). */
export function readHistory(records: readonly Json[]): History {
  const steps = records.filter((record) => record['type'] === 'step');
  const epochs = records.filter((record) => record['type'] === 'epoch');
  // Steps are placed on the axis of epochs: the last step of all stands at the last finished epoch.
  const lastStep = Math.max(0, ...steps.map((record) => numberAt(record, 'step') ?? 0));
  const lastEpoch = Math.max(0, ...epochs.map((record) => numberAt(record, 'epoch') ?? 0));
  const place = (record: Json): number => numberAt(record, 'progress') ?? (numberAt(record, 'step') ?? 0) / Math.max(1, lastStep) * Math.max(1, lastEpoch);
  const points = (source: readonly Json[], at: (record: Json) => number, ...paths: string[]): Series['points'] =>
    source.flatMap((record) => {
      const y = numberAt(record, ...paths);
      return y === undefined ? [] : [{ x: at(record), y }];
    });
  const epochOf = (record: Json): number => numberAt(record, 'epoch') ?? 0;
  const series = (name: string, colour: string, list: Series['points'], faint = false): Series[] =>
    (list.length === 0 ? [] : [{ name, colour, points: list, ...(faint ? { faint } : {}) }]);
  const stepLoss = thin(points(steps, place, 'loss'), 150);
  const trainLoss = points(epochs, epochOf, 'train.loss', 'trainLoss', 'loss');
  return {
    loss: [
      ...series('training, step by step', 'var(--train)', stepLoss, trainLoss.length > 1),
      ...series('training', 'var(--train)', trainLoss.length > 1 ? trainLoss : []),
      ...series('selection', 'var(--selection)', points(epochs, epochOf, 'selection.loss', 'val.loss', 'valLoss')),
    ],
    accuracy: [
      ...series('training', 'var(--train)', points(epochs, epochOf, 'train.accuracy', 'train.top1', 'accuracy')),
      ...series('selection', 'var(--selection)', points(epochs, epochOf, 'selection.top1', 'val.top1', 'top1')),
    ],
    rate: series('learning rate', 'var(--soft)', thin(points(steps, place, 'learningRate', 'lr', 'rate'), 200)),
    epochs: lastEpoch,
  };
}
