import type { Run } from '../../artifact/run.js';
import { PupilError } from '../../errors.js';
import type { SearchedCell } from '../../report/search.js';
import type { Cell } from './cells.js';
import { ranking, scoreOf, type HalvingPlan, type Measurement } from './halving.js';

/** What `search.json` of a run folder holds: the plan, and every finished training. */
export interface SearchState {
  readonly cells: readonly { readonly policy: string; readonly n?: number; readonly m?: number }[];
  readonly plan: HalvingPlan;
  /** Held-out images that a training is measured on. */
  readonly heldOut: number;
  readonly measured: readonly Measurement[];
}

const file = 'search.json';

/** The state of a search as it begins. */
export const beginning = (cells: readonly Cell[], plan: HalvingPlan, heldOut: number): SearchState => ({
  cells: cells.map(({ policy, n, m }) => ({
    policy: policy.name,
    ...(n !== undefined && { n }),
    ...(m !== undefined && { m }),
  })),
  plan,
  heldOut,
  measured: [],
});

/** Writes `search.json`: at every moment it is whole. */
export const writeState = (run: Run, state: SearchState): Promise<void> =>
  run.write(file, JSON.stringify(state, null, 1) + '\n');

/** Reads `search.json`; undefined when there is none yet. Throws `bad-data` when it is damaged. */
export async function readState(run: Run): Promise<SearchState | undefined> {
  let state: SearchState | undefined;
  try {
    state = await run.readJson<SearchState>(file);
  } catch (error) {
    throw new PupilError(
      'bad-data',
      `${run.file(file)}: not valid JSON (${(error as Error).message}); start the search again`,
      { cause: error },
    );
  }
  if (
    state !== undefined &&
    !(Array.isArray(state.cells) && Array.isArray(state.measured) && Array.isArray(state.plan?.rungs))
  ) {
    throw new PupilError('bad-data', `${run.file(file)}: holds no search; start the search again`);
  }
  return state;
}

/** The cells with what was measured of them, best first, those without a measurement last. */
export function rankedCells({ cells, plan, measured }: SearchState): SearchedCell[] {
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
