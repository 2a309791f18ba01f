import type { Metrics } from '../evaluate/metrics.js';
import type { TrainEvent as FitEvent } from '../train/events.js';

/** What `train --json` prints. */
export interface TrainResult {
  /** The run folder. */
  readonly run: string;
  /** Its `model.onnx`. */
  readonly model: string;
  /** The epoch whose weights were kept (from 1; 0 for a probe) and its accuracy on the selection images. */
  readonly best: { readonly epoch: number; readonly top1: number };
  /** Metrics on `val`, or on the held-out training images where there is none. */
  readonly val: Metrics;
  /** Metrics on `test`, where there is one. */
  readonly test?: Metrics;
  readonly seconds: number;
}

/** What happens in a run. Epochs count from 1 here, as people count them. */
export type RunEvent =
  /** The run's folder was made and what will be done is settled. */
  | { readonly type: 'plan'; readonly run: string; readonly lines: readonly string[] }
  | { readonly type: 'warning'; readonly message: string }
  /** Work before or after the training steps: decoding, features, evaluation. */
  | { readonly type: 'progress'; readonly what: string; readonly unit: string; readonly done: number; readonly total: number }
  /** A part of the training begins; `start`, `step`... events that follow belong to it. */
  | { readonly type: 'phase'; readonly name: string }
  | FitEvent
  | { readonly type: 'result'; readonly result: TrainResult };

/** Runs `work` and yields what it reports meanwhile; only the latest report is kept when nobody reads. Returns what it returns. */
export async function* reporting<T>(
  what: string, unit: string, work: (report: (done: number, total: number) => void) => Promise<T>,
): AsyncGenerator<RunEvent, T, undefined> {
  let latest: { done: number; total: number } | undefined;
  let wake: () => void = () => undefined;
  const finished = work((done, total) => {
    latest = { done, total };
    wake();
  });
  let over = false;
  const ended = finished.then(() => { over = true; }, () => { over = true; });
  while (!over) {
    if (latest === undefined) {
      await Promise.race([ended, new Promise<void>((resolve) => { wake = resolve; })]);
    } else {
      const { done, total } = latest;
      latest = undefined;
      yield { type: 'progress', what, unit, done, total };
    }
  }
  return finished;
}
