import { PupilError } from '../errors.js';

/**
 * Schedules: pure functions from (step, total steps) to a factor of the base learning rate; the
 * step counts from 0. The rate is fed to the training step as an input, so a schedule never makes
 * anything compile again.
 */
export type Schedule = (step: number, total: number) => number;

export interface ScheduleOptions {
  /**
   * Steps of linear warm-up: factor (step + 1) / (warmUpSteps + 1); one-cycle peaks after them.
   * Default 0 (one-cycle: 30%).
   */
  readonly warmUpSteps?: number;
  /** Where cosine and linear end, as a factor. Default 0. */
  readonly final?: number;
  /** Factor of each stage of `step`. Default 0.1. */
  readonly decay?: number;
  /** Equal stages of `step`. Default 3. */
  readonly stages?: number;
}

type Shape = (step: number, total: number, options: ScheduleOptions) => number;

const cosineBetween = (from: number, to: number, share: number): number =>
  to + ((from - to) * (1 + Math.cos(Math.PI * share))) / 2;

/** After warm-up: `step` of `total` steps, both counted from the end of the warm-up. */
const shapes = {
  constant: () => 1,
  /** (1 + cos(pi t / T)) / 2 (Loshchilov and Hutter 2017, without restarts). */
  cosine: (step, total, { final = 0 }) => cosineBetween(1, final, step / total),
  linear: (step, total, { final = 0 }) => 1 + ((final - 1) * step) / total,
  /** decay^k in the k-th of equal stages. */
  step: (step, total, { decay = 0.1, stages = 3 }) => decay ** Math.floor((step * stages) / total),
  /** cos(7 pi t / 16 T) (FixMatch, Sohn et al. 2020): ends at a fifth. */
  fixmatch: (step, total) => Math.cos((7 * Math.PI * step) / (16 * total)),
} satisfies Record<string, Shape>;

/**
 * 1/25 up to 1, then down to 1/250,000, both by cosine (Smith and Topin 2018, with PyTorch's
 * defaults).
 */
function oneCycle(step: number, total: number, { warmUpSteps }: ScheduleOptions): number {
  const peak = Math.max(warmUpSteps ?? 0.3 * total - 1, 1e-9);
  if (step <= peak) return cosineBetween(1 / 25, 1, step / peak);
  return cosineBetween(1, 1 / 250_000, (step - peak) / Math.max(total - 1 - peak, 1));
}

export type ScheduleName = keyof typeof shapes | 'one-cycle';

/** The names that `createSchedule` knows. */
export const scheduleNames: readonly ScheduleName[] = [
  ...(Object.keys(shapes) as (keyof typeof shapes)[]),
  'one-cycle',
];

/**
 * A schedule by name. Steps beyond the total keep the last factor. Throws `usage` for an unknown
 * name or an impossible warm-up.
 */
export function createSchedule(name: ScheduleName, options: ScheduleOptions = {}): Schedule {
  const { warmUpSteps = 0 } = options;
  if (!scheduleNames.includes(name)) {
    throw new PupilError('usage', `schedule ${JSON.stringify(name)}: unknown; give one of ${scheduleNames.join(', ')}`);
  }
  if (!(Number.isInteger(warmUpSteps) && warmUpSteps >= 0)) {
    throw new PupilError('usage', `warm-up of ${warmUpSteps} steps: give a whole number, 0 or more`);
  }
  return (step, total) => {
    const at = Math.min(Math.max(step, 0), Math.max(total - 1, 0));
    if (name === 'one-cycle') return oneCycle(at, total, options);
    // A run shorter than its warm-up would never reach the full rate: warm up for at most half of
    // it.
    const warm = Math.min(warmUpSteps, Math.floor(total / 2));
    if (at < warm) return (at + 1) / (warm + 1);
    return shapes[name](at - warm, Math.max(total - warm, 1), options);
  };
}
