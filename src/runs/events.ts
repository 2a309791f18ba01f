import type { Metrics } from '../evaluate/metrics.js';
import type { ResultEvent } from '../job.js';
import type { FitEvent } from '../train/events.js';

/** What `train --json` prints. */
export interface TrainResult {
  /** The run folder. */
  readonly run: string;
  /** Its `model.onnx`. */
  readonly model: string;
  /**
   * The epoch whose weights were kept (from 1; 0 for a probe) and its accuracy on the selection
   * images, where there are any.
   */
  readonly best: { readonly epoch: number; readonly top1?: number };
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
  /** Something odd that does no harm. */
  | { readonly type: 'warning'; readonly message: string }
  /** Something worth knowing: a download, an automatic choice. */
  | { readonly type: 'note'; readonly message: string }
  /** Work before or after the training steps: decoding, features, evaluation. */
  | {
      readonly type: 'progress';
      readonly what: string;
      readonly unit: string;
      readonly done: number;
      readonly total: number;
    }
  /** A part of the training begins; `start`, `step`... events that follow belong to it. */
  | { readonly type: 'phase'; readonly name: string }
  | FitEvent;

/** What `train` yields. */
export type TrainEvent = RunEvent | ResultEvent<TrainResult>;

/**
 * Runs `work` and yields what it emits meanwhile; of progress that nobody has read yet only the
 * latest is kept. Returns what it returns.
 */
export async function* relaying<T>(
  work: (emit: (event: RunEvent) => void) => Promise<T>,
): AsyncGenerator<RunEvent, T, undefined> {
  const queue: RunEvent[] = [];
  let wake: () => void = () => undefined;
  let over = false;
  const finished = work((event) => {
    if (event.type === 'progress' && queue.at(-1)?.type === 'progress') queue.pop();
    queue.push(event);
    wake();
  });
  const ended = finished.then(
    () => {
      over = true;
    },
    () => {
      over = true;
    },
  );
  while (!over || queue.length > 0) {
    const event = queue.shift();
    if (event) yield event;
    else
      await Promise.race([
        ended,
        new Promise<void>((resolve) => {
          wake = resolve;
        }),
      ]);
  }
  return finished;
}

/** Runs `work` and yields its progress. */
export const reporting = <T>(
  what: string,
  unit: string,
  work: (report: (done: number, total: number) => void) => Promise<T>,
): AsyncGenerator<RunEvent, T, undefined> =>
  relaying((emit) => work((done, total) => emit({ type: 'progress', what, unit, done, total })));
