import type { FitPosition } from './events.js';

/** A position that moves on. */
export type Mutable<T> = { -readonly [K in keyof T]: T[K] };

export interface BudgetOptions {
  /** Default: no end. */
  readonly minutes?: number | undefined;
  /** Of one evaluation. */
  readonly evaluationSeconds?: number | undefined;
  /** Epochs between evaluations. */
  readonly evaluateEvery?: number | undefined;
  /** Seconds of what follows the training in time of its own: it is slower as the steps are, and these end earlier. */
  readonly follows?: number | undefined;
}

/** The time budget of a training, in steps: `plannedSteps` of the position. */
export interface Budget {
  /** Steps that the schedule is made for. */
  totalSteps(): number;
  /** Whether all steps that the budget allows are done. */
  isReached(): boolean;
  /**
   * After a step that took so many seconds and ended `at` seconds of the training: settles the number of
   * steps once enough are timed.
   */
  timed(took: number, at: number): void;
  /**
   * After a step that ended `at` seconds of the training: makes fewer steps where they have become slower than those
   * that were timed, so that the schedule still ends in time; ends the training when it is over its time all the same.
   */
  keep(at: number): void;
}

/**
 * Steps that are timed before a time budget settles the number of steps, the first of them warming
 * up.
 */
const timedSteps = { warmUp: 2, total: 8 };

/** The pace is looked at so often in the time given, or in what is left of it for a training that goes on. */
const looks = 10;

/** The training is over when it has exceeded that time by this share. */
const tolerance = 0.05;

/** The budget of a training of `minutes`, of which evaluations take some. */
export function createBudget(
  { minutes = Infinity, evaluationSeconds = 0, evaluateEvery = 1, follows = 0 }: BudgetOptions,
  position: Mutable<FitPosition>,
  { stepsPerEpoch, everything }: { readonly stepsPerEpoch: number; readonly everything: number },
): Budget {
  const budget = minutes * 60,
    session = budget - position.seconds;
  const times: number[] = [];
  /** Seconds a step when the pace was first looked at. */
  let pace: number | undefined;
  /** Where the pace was last looked at. */
  let last: { readonly at: number; readonly step: number } | undefined;
  return {
    totalSteps: () => position.plannedSteps ?? everything,
    isReached: () => position.plannedSteps !== null && position.step >= position.plannedSteps,
    timed(took, at) {
      if (position.plannedSteps !== null) return;
      times.push(took);
      const evaluation = evaluationSeconds / (stepsPerEpoch * evaluateEvery);
      position.plannedSteps = planSteps(times, evaluation, position.step, everything, budget - at);
    },
    keep(at) {
      const { step, plannedSteps } = position;
      if (at > budget + tolerance * session) position.plannedSteps = step;
      else if (plannedSteps !== null && step < plannedSteps && budget < Infinity) {
        last ??= { at, step };
        if (at - last.at < session / looks) return;
        // Evaluations between the steps are part of their pace.
        const each = (at - last.at) / (step - last.step);
        last = { at, step };
        pace ??= each;
        const end = budget - follows * Math.max(0, each / pace - 1);
        if (at + each * (plannedSteps - step) > end)
          position.plannedSteps = step + Math.max(0, Math.floor((end - at) / each));
      }
    },
  };
}

/**
 * How many steps fit the time that is left: null until enough were timed. A tenth is kept for
 * evaluations and saving.
 */
function planSteps(
  timed: readonly number[],
  overhead: number,
  done: number,
  everything: number,
  left: number,
): number | null {
  if (everything <= done) return everything;
  if (timed.length < timedSteps.total && left > 0) return null;
  const measured = timed.slice(timedSteps.warmUp);
  const each = overhead + measured.reduce((sum, t) => sum + t, 0) / Math.max(measured.length, 1);
  return Math.min(everything, done + Math.max(0, Math.floor((0.9 * left) / each)));
}
