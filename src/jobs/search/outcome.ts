import { basename } from 'node:path';
import type { RunResult, SearchFile } from '../../artifact/formats.js';
import type { Run } from '../../artifact/run.js';
import { runFiles } from '../../artifact/run-files.js';
import { faultOf } from '../../artifact/schemas.js';
import { PupilError } from '../../errors.js';
import { withoutPlaces } from '../../report/places.js';
import { rasterise } from '../../report/raster.js';
import { searchDrawing, searchPage, type SearchView } from '../../report/search.js';
import { totalOf } from './halving.js';
import { trainCommand, type SearchSettings, type Space } from './settings.js';
import { findingOf, heldOutImages, rankedCells } from './state.js';

/** A cell in the result. Shares in [0, 1]. */
export interface CellResult {
  /** As it can be given to `augment`. */
  readonly policy: string;
  readonly n?: number | undefined;
  readonly m?: number | undefined;
  /** The last stage in which it can be compared, from 1; 0: none, and what follows is empty or null. */
  readonly rung: number;
  readonly epochs: number;
  /** Accuracy of each seed in that rung, those that all its cells share. */
  readonly seeds: readonly number[];
  readonly top1: number | null;
  /** Half-width of the 95% interval over the held-out images; null for one seed. */
  readonly interval: number | null;
  /** Accuracy above the baseline's: the same images, seeds and epochs. No interval for one seed. */
  readonly gain: { readonly mean: number; readonly interval: number | null } | null;
  /** Null also when a training diverged. */
  readonly loss: number | null;
}

/** What `search --json` prints. */
export interface SearchResult extends RunResult {
  readonly space: Space;
  /** Best first. */
  readonly cells: readonly CellResult[];
  readonly best: { readonly augment: string; readonly top1: number };
  readonly baseline: string;
  /** The policy to train with; null where none is above the baseline by more than its interval. */
  readonly recommended: string | null;
  /** What was found, in words. */
  readonly verdict: string;
  /** Trains with the policy that is recommended. */
  readonly command: string | null;
  /** Epochs of each rung. */
  readonly rungs: readonly number[];
  /** `done` is less than `planned` when the time was up. */
  readonly trainings: { readonly done: number; readonly planned: number };
}

/** What a picture and a page need to know of a search. */
function viewOf(run: Run, settings: SearchSettings, state: SearchFile): SearchView {
  const { plan, measured } = state;
  const cells = rankedCells(state);
  const { policy, verdict } = findingOf(cells);
  return {
    title: basename(run.path),
    space: settings.space,
    cells,
    rungs: plan.rungs,
    heldOut: heldOutImages(state),
    grid: settings.space === 'grid' ? { n: settings.n!, m: settings.m! } : undefined,
    trainings: { done: measured.length, planned: totalOf(plan).trainings },
    seconds: measured.reduce((sum, { seconds }) => sum + seconds, 0),
    verdict,
    command: policy === undefined ? undefined : trainCommand(settings, policy),
    config: withoutPlaces(run.config),
  };
}

/**
 * Writes `heat-map.png` and `report.html` of a search from its state; nothing before the first
 * measurement.
 */
export async function writeOutcome(run: Run, settings: SearchSettings, state: SearchFile): Promise<void> {
  if (state.measured.length === 0) return;
  const view = viewOf(run, settings, state);
  const { renderPage, svgOf } = await import('../../report/render.js');
  await runFiles.heatMap.write(run.path, await rasterise(svgOf(searchDrawing(view)), { zoom: 2 }));
  const page = searchPage(viewOf(run, withoutPlaces(settings), state));
  await runFiles.report.write(run.path, renderPage(page, new Map()).html);
}

/**
 * The same from the run folder alone; returns the page's path. Throws `bad-data` when its
 * `search.json` is damaged.
 */
export async function writeSearchReport(run: Run): Promise<string> {
  const state = await runFiles.search.read(run.path);
  if (state === undefined) return runFiles.report.in(run.path);
  const fault = faultOf('searchSettings', run.config.settings);
  if (fault !== undefined)
    throw new PupilError('bad-data', `${runFiles.config.in(run.path)}: settings: ${fault}; restore it`);
  await writeOutcome(run, run.config.settings as SearchSettings, state);
  return runFiles.report.in(run.path);
}

/** The result of a search with at least one measurement. `seconds`: all that it took. */
export function resultOf(run: Run, settings: SearchSettings, state: SearchFile, seconds: number): SearchResult {
  const view = viewOf(run, settings, state);
  const cells = view.cells.map(({ policy, n, m, score }): CellResult => {
    const which = { policy, n, m };
    if (score === undefined)
      return { ...which, rung: 0, epochs: 0, seeds: [], top1: null, interval: null, gain: null, loss: null };
    const { rung, seeds, top1, interval = null, gain, loss } = score;
    return {
      ...which,
      rung: rung + 1,
      epochs: state.plan.rungs[rung]!,
      seeds,
      top1,
      interval,
      gain: { mean: gain.mean, interval: gain.interval ?? null },
      loss,
    };
  });
  return {
    run: run.path,
    space: settings.space,
    cells,
    best: { augment: cells[0]!.policy, top1: cells[0]!.top1! },
    baseline: state.cells[state.plan.baseline!]!.policy,
    recommended: findingOf(view.cells).policy ?? null,
    verdict: view.verdict,
    command: view.command ?? null,
    rungs: state.plan.rungs,
    trainings: view.trainings,
    seconds,
  };
}
