import type { HalvingPlan, SearchFile } from '../../artifact/formats.js';
import type { SearchedCell } from '../../report/search.js';
import type { Cell } from './cells.js';
import { ranking, scoreOf } from './halving.js';

/** The state of a search as it begins. */
export const beginning = (cells: readonly Cell[], plan: HalvingPlan, heldOut: number): SearchFile => ({
  cells: cells.map(({ policy, n, m }) => ({ policy: policy.name, n, m })),
  plan,
  heldOut,
  measured: [],
});

/** The cells with what was measured of them, best first, those without a measurement last. */
export function rankedCells({ cells, plan, measured }: SearchFile): SearchedCell[] {
  const ranked = ranking(plan, measured).map(({ cell }) => cell);
  const rest = cells.map((_, cell) => cell).filter((cell) => !ranked.includes(cell));
  return [...ranked, ...rest].map((cell) => ({
    ...cells[cell]!,
    baseline: cell === plan.baseline,
    scores: plan.rungs.flatMap((_, rung) => {
      const score = scoreOf(measured, cell, rung);
      return score
        ? [
            {
              rung,
              top1: score.measurements.map(({ top1 }) => top1),
              loss: Number.isFinite(score.loss) ? score.loss : null,
            },
          ]
        : [];
    }),
  }));
}
