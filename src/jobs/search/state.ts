import type { HalvingPlan, Measurement, SearchFile } from '../../artifact/formats.js';
import { meanInterval } from '../../evaluate/metrics.js';
import { gainText } from '../../report/intervals.js';
import type { CellScore, SearchedCell } from '../../report/search.js';
import { pairedGain } from '../stages.js';
import type { Cell } from './cells.js';
import { ranking, scoreOf, type Score } from './halving.js';

/** The state of a search as it begins; `heldOut`: of the images of each fold, or of all, what copies share. */
export const beginning = (
  cells: readonly Cell[],
  plan: HalvingPlan,
  heldOut: readonly (readonly (string | undefined)[])[],
): SearchFile => ({
  cells: cells.map(({ policy, n, m }) => ({ policy: policy.name, n, m })),
  plan,
  heldOut: heldOut.map(({ length }) => length),
  ...(heldOut.flat().some((group) => group !== undefined)
    ? { groups: heldOut.map((groups) => groups.map((group) => group ?? null)) }
    : {}),
  measured: [],
});

/** Held-out images that the scores of a search are of, together: those of the folds that were trained. */
export function heldOutImages({ plan, heldOut, measured }: SearchFile): number {
  const scored = ranking(plan, measured).flatMap(({ measurements }) => measurements);
  const folds = new Set(scored.map(({ seed }) => seed % heldOut.length));
  return heldOut.reduce((sum, count, fold) => (folds.has(fold) ? sum + count : sum), 0);
}

/** The cells, best first, those without a score last. */
export function rankedCells(state: SearchFile): SearchedCell[] {
  const { cells, plan, measured } = state;
  const ranked = ranking(plan, measured);
  const rest = cells.map((_, cell) => cell).filter((cell) => ranked.every((one) => one.cell !== cell));
  const scored = ranked.map(({ cell, rung, ...score }): SearchedCell => {
    const base = plan.baseline === undefined ? undefined : scoreOf(plan, measured, plan.baseline, rung);
    return {
      ...cells[cell]!,
      baseline: cell === plan.baseline,
      score: base && described(rung, score, base, state),
    };
  });
  return [...scored, ...rest.map((cell) => ({ ...cells[cell]!, baseline: cell === plan.baseline, score: undefined }))];
}

/**
 * One seed has no intervals: how much trainings differ among themselves is unknown. For more, the
 * answers to an image are averaged over its seeds, and intervals are those of a mean over images, of which copies
 * count once.
 */
function described(
  rung: number,
  { top1, loss, measurements }: Score,
  base: Score,
  { heldOut: { length: folds }, groups: grouped = [] }: SearchFile,
): CellScore {
  const right = rightOn(measurements, folds);
  const isOne = measurements.length === 1;
  const groups = new Map(
    grouped.flatMap((fold, f) => fold.flatMap((group, i) => (group === null ? [] : [[nameOf(f, i), group] as const]))),
  );
  const { interval } = meanInterval(
    [...right.values()],
    [...right.keys()].map((image) => groups.get(image)),
  );
  return {
    rung,
    top1,
    interval: isOne || Number.isNaN(interval) ? undefined : interval,
    gain: {
      mean: top1 - base.top1,
      interval: isOne ? undefined : pairedGain(rightOn(base.measurements, folds), right, groups).interval,
    },
    loss: Number.isFinite(loss) ? loss : null,
    seeds: measurements.map((one) => one.top1),
  };
}

/** An image by its fold and its place there. */
const nameOf = (fold: number, place: number): string => `${fold} ${place}`;

/** For each image, by fold and place, in which share of the trainings the model was right on it. */
function rightOn(measurements: readonly Measurement[], folds: number): Map<string, number> {
  const answers = new Map<string, number[]>();
  for (const { seed, right } of measurements) {
    for (const [i, answer] of [...right].entries()) {
      const image = nameOf(seed % folds, i);
      answers.set(image, [...(answers.get(image) ?? []), Number(answer)]);
    }
  }
  return new Map([...answers].map(([image, all]) => [image, meanInterval(all).mean]));
}

/** What a search found: the policy to train with, absent where none is surely better. */
export function findingOf(cells: readonly SearchedCell[]): { policy?: string | undefined; verdict: string } {
  const [best, second] = cells;
  if (best?.score === undefined) return { verdict: 'Nothing was measured yet.' };
  if (second?.score === undefined) return { verdict: 'Only basic augmentation was measured: nothing to compare.' };
  if (best.baseline) return { verdict: 'No policy did better than basic augmentation on the held-out images.' };
  const { gain, seeds } = best.score;
  if (gain.mean === 0)
    return { verdict: `${best.policy} is tied with basic augmentation on the held-out images: no policy did better.` };
  const words = `${best.policy} did best: ${gainText(gain)} points above basic on the held-out images`;
  if (gain.interval === undefined) {
    return { verdict: `${words}, but with one seed that may be chance. Train with 2 seeds or more to decide.` };
  }
  if (gain.mean <= gain.interval) {
    return { verdict: `${words}, which may be chance. Decide with more seeds or more held-out images.` };
  }
  return { policy: best.policy, verdict: `${words} (${seeds.length} seeds).` };
}
