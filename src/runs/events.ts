import type { Metrics, RunResult } from '../artifact/formats.js';
import type { ResultEvent } from '../job.js';
import type { FitEvent } from '../train/events.js';
import type { Work } from './expected.js';

/** What `train --json` prints. */
export interface TrainResult extends RunResult {
  /** Its `model.onnx`. */
  readonly model: string;
  /**
   * The epoch whose weights were kept (from 1; 0 for a probe) and its accuracy on the selection
   * images, where there are any.
   */
  readonly best: { readonly epoch: number; readonly top1?: number | undefined };
  /**
   * Metrics on `val`, or on the held-out training images where there is none; absent where nothing
   * is held out.
   */
  readonly val?: Metrics | undefined;
  /** The share of its steps that were made where `minutes` were up before all of them; absent: all, or it has none. */
  readonly completed?: number | undefined;
  /** Metrics on `test`, where there is one. */
  readonly test?: Metrics | undefined;
}

/** What happens in a run. Epochs count from 1 here, as people count them. */
export type RunEvent =
  /** The run's folder was made and what will be done is settled. */
  | {
      readonly type: 'plan';
      readonly run: string;
      readonly lines: readonly string[];
      /** Of `train`: how much is trained. */
      readonly work?: Work | undefined;
    }
  /**
   * Something odd that does no harm. `about`: of a job of many trainings only the first warning about the same is told,
   * as those after it say it again with other numbers; default: the message.
   */
  | { readonly type: 'warning'; readonly message: string; readonly about?: string }
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
  | {
      readonly type: 'phase';
      readonly name: string;
      /** Which of several trainings begins: those of folds, and the last one on all labels. Index from 0. */
      readonly training?: { readonly name: string; readonly index: number; readonly count: number } | undefined;
      /** Epochs of this training before the part, and those of all its parts. */
      readonly epochs?: { readonly before: number; readonly all: number } | undefined;
    }
  | FitEvent;

/** What `train` yields. */
export type TrainEvent = RunEvent | ResultEvent<TrainResult>;
