/**
 * Successive halving (Jamieson and Talwalkar 2016): every cell trains for a few epochs, the best
 * 1/eta of them for eta times as many, and so on, until the last ones train in full. All functions
 * are pure: what is to be trained next follows from what was measured, so that an interrupted
 * search goes on from its list of measurements alone.
 */
import type { HalvingPlan, Measurement } from '../../artifact/formats.js';
import { invariant } from '../../errors.js';

/** One training of the plan. */
export type Training = Pick<Measurement, 'cell' | 'rung' | 'seed'>;

/**
 * Epochs of each rung: `epochs`, and before it `epochs / eta`, `epochs / eta^2`..., as many as it
 * takes to thin `candidates` out to one, but none shorter than `minEpochs`.
 */
export function planRungs({
  epochs,
  candidates,
  eta,
  minEpochs = 1,
}: {
  readonly epochs: number;
  readonly candidates: number;
  readonly eta: number;
  readonly minEpochs?: number;
}): number[] {
  const rungs = [epochs];
  for (
    let left = Math.floor(candidates / eta), length = epochs / eta;
    left >= 1 && length >= minEpochs;
    left = Math.floor(left / eta), length /= eta
  ) {
    rungs.unshift(Math.round(length));
  }
  return rungs;
}

/** How many cells besides the baseline each rung trains. */
function sizes({ cells, baseline, rungs, eta }: HalvingPlan): number[] {
  let left = cells - (baseline === undefined ? 0 : 1);
  return rungs.map((_, rung) => (rung === 0 ? left : (left = Math.max(1, Math.floor(left / eta)))));
}

/** A cell's trainings of one rung together, those of the seeds that all its cells share. */
export interface Score {
  /** Mean accuracy over these seeds; 0 for those that diverged. */
  readonly top1: number;
  /** Mean loss; Infinity when one diverged. */
  readonly loss: number;
  readonly measurements: readonly Measurement[];
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/**
 * Seeds that every cell measured in a rung was trained with: a search that is cut short compares
 * cells on these alone. None as long as the baseline is missing, which after the first rung is the
 * last to be trained.
 */
function sharedSeeds({ baseline }: HalvingPlan, measured: readonly Measurement[], rung: number): Set<number> {
  const inRung = measured.filter((item) => item.rung === rung);
  const cells = new Set(inRung.map(({ cell }) => cell));
  if (baseline !== undefined && !cells.has(baseline)) return new Set();
  const seeds = inRung.map(({ seed }) => seed);
  return new Set(seeds.filter((seed) => seeds.filter((other) => other === seed).length === cells.size));
}

/** What a cell reached in a rung, by seed; undefined where it cannot be compared with others. */
export function scoreOf(
  plan: HalvingPlan,
  measured: readonly Measurement[],
  cell: number,
  rung: number,
): Score | undefined {
  const shared = sharedSeeds(plan, measured, rung);
  const measurements = measured
    .filter((item) => item.cell === cell && item.rung === rung && shared.has(item.seed))
    .sort((a, b) => a.seed - b.seed);
  return measurements.length === 0
    ? undefined
    : {
        top1: mean(measurements.map(({ top1 }) => top1)),
        loss: mean(measurements.map(({ loss }) => loss ?? Infinity)),
        measurements,
      };
}

/** Higher accuracy first, then lower loss, then the earlier cell. */
const better = (a: readonly [cell: number, score: Score], b: readonly [cell: number, score: Score]): number =>
  b[1].top1 - a[1].top1 || (a[1].loss === b[1].loss ? 0 : a[1].loss - b[1].loss) || a[0] - b[0];

/**
 * The cells of a rung in the order in which they are trained: best first, the baseline last;
 * undefined while the rung before is unfinished.
 */
export function contenders(plan: HalvingPlan, measured: readonly Measurement[], rung: number): number[] | undefined {
  if (rung === 0) {
    const all = Array.from({ length: plan.cells }, (_, cell) => cell);
    // In the first rung nothing is known; the baseline comes first, so that a search that is cut
    // short has something to compare with.
    return plan.baseline === undefined ? all : [plan.baseline, ...all.filter((cell) => cell !== plan.baseline)];
  }
  const before = contenders(plan, measured, rung - 1);
  const scored = before?.map((cell) => [cell, scoreOf(plan, measured, cell, rung - 1)] as const);
  if (!scored?.every((item): item is readonly [number, Score] => item[1]?.measurements.length === plan.seeds))
    return undefined;
  const ranked = scored
    .filter(([cell]) => cell !== plan.baseline)
    .sort(better)
    .map(([cell]) => cell);
  return [...ranked.slice(0, sizes(plan)[rung]), ...(plan.baseline === undefined ? [] : [plan.baseline])];
}

/**
 * What is left to be trained of the first unfinished rung, in order: all cells with one seed, then
 * all with the next.
 */
export function pending(plan: HalvingPlan, measured: readonly Measurement[]): Training[] {
  for (let rung = 0; rung < plan.rungs.length; rung++) {
    const cells = contenders(plan, measured, rung);
    invariant(cells, 'a rung was asked for before the one before it was finished');
    const done = new Set(measured.filter((item) => item.rung === rung).map(({ cell, seed }) => `${cell} ${seed}`));
    const left = Array.from({ length: plan.seeds }, (_, seed) => cells.map((cell) => ({ cell, rung, seed })))
      .flat()
      .filter(({ cell, seed }) => !done.has(`${cell} ${seed}`));
    if (left.length > 0) return left;
  }
  return [];
}

/** All the trainings of a plan, as counts: how many, and how many epochs they take together. */
export function totalOf(plan: HalvingPlan): { readonly trainings: number; readonly epochs: number } {
  const perRung = sizes(plan).map((size) => (size + (plan.baseline === undefined ? 0 : 1)) * plan.seeds);
  return {
    trainings: perRung.reduce((sum, count) => sum + count, 0),
    epochs: perRung.reduce((sum, count, rung) => sum + count * plan.rungs[rung]!, 0),
  };
}

/** Where a cell stands: its last rung in which it can be compared. */
export interface Standing extends Score {
  readonly cell: number;
  readonly rung: number;
}

/**
 * Cells with a measurement, best first: those that came further first, within a rung by accuracy,
 * then loss.
 */
export function ranking(plan: HalvingPlan, measured: readonly Measurement[]): Standing[] {
  const standings = Array.from({ length: plan.cells }, (_, cell): Standing[] => {
    for (let rung = plan.rungs.length - 1; rung >= 0; rung--) {
      const score = scoreOf(plan, measured, cell, rung);
      if (score) return [{ cell, rung, ...score }];
    }
    return [];
  }).flat();
  return standings.sort((a, b) => b.rung - a.rung || better([a.cell, a], [b.cell, b]));
}

/**
 * Seconds that a training of `epochs` is expected to take after those measured: the median time of
 * an epoch. Undefined for none.
 */
export function estimateSeconds(
  plan: HalvingPlan,
  measured: readonly Measurement[],
  epochs: number,
): number | undefined {
  if (measured.length === 0) return undefined;
  const rates = measured.map(({ seconds, rung }) => seconds / plan.rungs[rung]!).sort((a, b) => a - b);
  return epochs * rates[Math.floor(rates.length / 2)]!;
}
