import { basename } from 'node:path';
import type { RunResult, SearchFile } from '../../artifact/formats.js';
import type { Run } from '../../artifact/run.js';
import { runFiles } from '../../artifact/run-files.js';
import { rasterise } from '../../report/raster.js';
import { searchPage, searchPicture, summarise, type SearchView } from '../../report/search.js';
import { totalOf } from './halving.js';
import { trainCommand, type SearchSettings, type Space } from './settings.js';
import { rankedCells } from './state.js';

/** A cell in the result. Shares in [0, 1]. */
export interface CellResult {
  /** As it can be given to `augment`. */
  readonly policy: string;
  readonly n?: number;
  readonly m?: number;
  /** How far it came, from 1; 0: not measured, and what follows is empty or null. */
  readonly rung: number;
  readonly epochs: number;
  /** Accuracy of each seed in that rung. */
  readonly seeds: readonly number[];
  readonly top1: number | null;
  /** Half-width of the 95% interval: over seeds, or with one seed over the held-out images. */
  readonly interval: number | null;
  /** Accuracy above the baseline's after the same epochs. */
  readonly gain: number | null;
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
  /** Trains with the best setting. */
  readonly command: string;
  /** Epochs of each rung. */
  readonly rungs: readonly number[];
  /** `done` is less than `planned` when the time was up. */
  readonly trainings: { readonly done: number; readonly planned: number };
}

/** What a picture and a page need to know of a search. */
function viewOf(run: Run, settings: SearchSettings, state: SearchFile): SearchView {
  const { plan, measured, heldOut } = state;
  const cells = rankedCells(state);
  const best = cells.find(({ scores }) => scores.length > 0);
  return {
    title: basename(run.path),
    space: settings.space,
    cells,
    rungs: plan.rungs,
    seeds: plan.seeds,
    heldOut,
    grid: settings.space === 'grid' ? { n: settings.n!, m: settings.m! } : undefined,
    trainings: { done: measured.length, planned: totalOf(plan).trainings },
    seconds: measured.reduce((sum, { seconds }) => sum + seconds, 0),
    command: best && trainCommand(settings, best.policy),
    config: run.config,
  };
}

/**
 * Writes `heat-map.png` and `report.html` of a search from its state; nothing before the first
 * measurement.
 */
export async function writeOutcome(run: Run, settings: SearchSettings, state: SearchFile): Promise<void> {
  if (state.measured.length === 0) return;
  const view = viewOf(run, settings, state);
  await runFiles.heatMap.write(run.path, await rasterise(searchPicture(view), { zoom: 2 }));
  await runFiles.report.write(run.path, searchPage(view).html);
}

/**
 * The same from the run folder alone; returns the page's path. Throws `bad-data` when its
 * `search.json` is damaged.
 */
export async function writeSearchReport(run: Run): Promise<string> {
  const state = await runFiles.search.read(run.path);
  if (state) await writeOutcome(run, run.config.settings as SearchSettings, state);
  return runFiles.report.in(run.path);
}

/** The result of a search with at least one measurement. `seconds`: all that it took. */
export function resultOf(run: Run, settings: SearchSettings, state: SearchFile, seconds: number): SearchResult {
  const view = viewOf(run, settings, state);
  const cells = view.cells.map((cell): CellResult => {
    const { policy, n, m } = cell;
    const summary = summarise(cell, view),
      score = cell.scores.at(-1);
    const which = { policy, n, m };
    if (summary === undefined || score === undefined)
      return { ...which, rung: 0, epochs: 0, seeds: [], top1: null, interval: null, gain: null, loss: null };
    const { rung, epochs, top1, interval, gain = null } = summary;
    return { ...which, rung: rung + 1, epochs, seeds: score.top1, top1, interval, gain, loss: score.loss };
  });
  return {
    run: run.path,
    space: settings.space,
    cells,
    best: { augment: cells[0]!.policy, top1: cells[0]!.top1! },
    baseline: state.cells[state.plan.baseline!]!.policy,
    command: view.command!,
    rungs: state.plan.rungs,
    trainings: view.trainings,
    seconds,
  };
}
