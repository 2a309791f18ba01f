/**
 * Where a run stands between two steps: JSON, and with the state all that is needed to go on bit
 * for bit.
 */
export interface FitPosition {
  /** Epochs that are over. */
  readonly epoch: number;
  /** Whether there is none to come: all are over, or the training was stopped early. */
  readonly finished: boolean;
  /** Steps done in the one under way. */
  readonly stepInEpoch: number;
  /** Optimizer steps done in all. */
  readonly step: number;
  /** Steps that the schedule is made for; null until a time budget has settled it. */
  readonly plannedSteps: number | null;
  /** Sums over the steps of the epoch. */
  readonly sums: { readonly loss: number; readonly correct: number; readonly images: number; readonly steps: number };
  /** The best evaluation so far. */
  readonly best: BestEvaluation | null;
  /** Evaluations since the best one. */
  readonly waited: number;
  /** Seconds of training, over all sessions of the run. */
  readonly seconds: number;
}

export interface BestEvaluation {
  /** From 1. */
  readonly epoch: number;
  readonly step: number;
  readonly score: number;
  readonly metrics: Readonly<Record<string, unknown>>;
}

/** What an evaluation of the current weights gives. */
export interface Evaluation {
  /** Larger is better: accuracy, or the loss with its sign turned. */
  readonly score: number;
  /** Anything to report, JSON. */
  readonly metrics: Readonly<Record<string, unknown>>;
}

/** Why a training ended. */
export type Ending = 'epochs' | 'patience' | 'minutes';

/**
 * What happens in a training, in order. Epochs and steps count from 1: that of a `step` event is
 * the one that was just done, that of a `checkpoint` the last that was begun.
 */
export type FitEvent =
  | {
      readonly type: 'start';
      readonly epochs: number;
      readonly stepsPerEpoch: number;
      readonly totalSteps: number;
      /** Optimizer steps done by earlier sessions of the run. */
      readonly step: number;
    }
  | {
      readonly type: 'step';
      readonly epoch: number;
      readonly step: number;
      readonly totalSteps: number;
      readonly loss: number;
      /**
       * Share of right predictions on the (augmented) batch; undefined when the objective does not
       * count them.
       */
      readonly accuracy: number | undefined;
      /** The objective's other scalars. */
      readonly metrics: Readonly<Record<string, number>>;
      readonly learningRate: number;
      readonly imagesPerSecond: number;
    }
  | {
      readonly type: 'epoch';
      readonly epoch: number;
      readonly step: number;
      readonly loss: number;
      readonly accuracy: number | undefined;
      readonly seconds: number;
      /** What the technique saw in the epoch, JSON. */
      readonly observed?: Readonly<Record<string, unknown>> | undefined;
    }
  | {
      readonly type: 'evaluation';
      readonly epoch: number;
      readonly step: number;
      readonly score: number;
      readonly metrics: Readonly<Record<string, unknown>>;
      readonly isBest: boolean;
    }
  | {
      readonly type: 'checkpoint';
      readonly epoch: number;
      readonly step: number;
      readonly path: string;
      readonly isBest: boolean;
    }
  | {
      readonly type: 'early-stop';
      readonly epoch: number;
      readonly step: number;
      /** Steps of all epochs that were asked for. */
      readonly allSteps: number;
      readonly reason: 'patience' | 'minutes';
    }
  | {
      readonly type: 'done';
      readonly epoch: number;
      readonly step: number;
      readonly best: BestEvaluation | null;
      readonly seconds: number;
      readonly reason: Ending;
    };
