import { performance } from 'node:perf_hooks';
import type { HalvingPlan, RunResult, SearchFile } from '../../artifact/formats.js';
import type { Run } from '../../artifact/run.js';
import { runFiles } from '../../artifact/run-files.js';
import { checkDataset } from '../../data/check.js';
import { counted } from '../../data/dataset.js';
import { createPool, type Pool } from '../../data/pool.js';
import { sharedGroups, type Dataset } from '../../data/sample.js';
import { PupilError } from '../../errors.js';
import type { Job } from '../../job.js';
import type { Model } from '../../models/model.js';
import { searchOptions, type SearchRequest } from '../../options/jobs.js';
import { knownTo, machineOptions, omit } from '../../options/option.js';
import { trainingOptions } from '../../options/training.js';
import { chooseModel } from '../../runs/choose-model.js';
import { ranBefore } from '../../runs/engine.js';
import type { RunEvent } from '../../runs/events.js';
import { featuresOfRun } from '../../runs/features.js';
import { prepareRunImages, type CheckedData, type RunImages } from '../../runs/images.js';
import {
  imagesLearned,
  resolveSettings,
  withBackboneRate,
  type Settings,
  type TrainOptions,
} from '../../runs/resolve.js';
import { minutesOf } from '../clock.js';
import { job, type Shell } from '../job.js';
import { baseline, gridCells, policyCells, type Cell } from './cells.js';
import { createEngines, type Engines } from './engines.js';
import { contenders, estimateSeconds, pending, planRungs, ranking, totalOf, type Training } from './halving.js';
import { resultOf, writeOutcome, type SearchResult } from './outcome.js';
import { describePlan } from './plan.js';
import { resolveSearch, type SearchOptions, type SearchSettings } from './settings.js';
import { beginning } from './state.js';
import { createTrainer, partsOf, type Part, type Trainer } from './trainer.js';

/** What happens in a search. Rungs count from 1. */
export type SearchEvent =
  | RunEvent
  /**
   * A training begins; the `start` and `step` events that follow belong to it. Epochs are those of
   * trainings alone.
   */
  | (SearchProgress & { readonly type: 'cell'; readonly epochs: number })
  | (SearchProgress & {
      readonly type: 'cell-done';
      readonly top1: number;
      readonly loss: number | null;
      readonly seconds: number;
    })
  /** A rung is finished. */
  | {
      readonly type: 'halving';
      readonly rung: number;
      readonly rungs: number;
      readonly epochs: number;
      readonly kept: readonly string[];
      readonly dropped: number;
    };

/** Where a search stands. */
export interface SearchProgress {
  readonly policy: string;
  readonly rung: number;
  readonly rungs: number;
  readonly seed: number;
  /** Trainings finished, of those planned; and their epochs. */
  readonly done: number;
  readonly planned: number;
  readonly epochsDone: number;
  readonly epochsPlanned: number;
  readonly best: { readonly policy: string; readonly top1: number } | undefined;
}

/** The command, and its table of options. */
export const searchCommand = { command: 'search', table: searchOptions };

/**
 * Searches an augmentation policy: every cell of a grid over RandAugment's N and M (Cubuk et al.
 * 2019), or random combinations of ops, is trained on the training part and measured on held-out
 * images that no reported number uses (`val/`, else a part of the labelled training images; below
 * 200 labels seed i learns from fold i), by successive halving. What was
 * measured is in the run folder after every training: an interrupted search goes on with `resume`.
 * Throws `usage`, `bad-data`, `interrupted`...
 *
 * @example
 * const { recommended, verdict } = await search('photos', { mode: 'scratch', model: 'resnet8', epochs: 27 });
 * console.log(recommended ?? verdict);
 */
export function search(data: string | Dataset | undefined, told: SearchRequest = {}): Job<SearchEvent, SearchResult> {
  return job<SearchSettings, SearchOptions, SearchEvent, SearchResult>(searchCommand, data, told, (shell) =>
    withSearch(shell, runSearch),
  );
}

/** Opens what a search works with, does the work, and closes it. */
export async function* withSearch<Outcome>(
  shell: Shell<SearchSettings, SearchOptions>,
  work: (search: SearchWork) => AsyncGenerator<SearchEvent, Outcome, undefined>,
): AsyncGenerator<SearchEvent, Outcome, undefined> {
  const { resumed, options } = shell;
  const known = settingsOf(resumed?.config.settings, shell.path, options);
  const cells = [baseline(), ...candidatesOf(known)];
  const training: TrainOptions = { ...trainingOf(known), augment: cells[0]!.policy };
  const resolved = resolveSettings(known.data, training);
  const before = resumed && (await runFiles.search.read(resumed.path));
  const spent = (before?.measured ?? []).reduce((sum, { seconds }) => sum + seconds, 0);
  const budget = budgetOf(known, options, spent);
  const settings = resumed ? { ...known, minutes: minutesOf(spent + budget, known.minutes) } : known;

  const checked = await shell.openImages({ reportOn: settings.reportOn, signal: shell.signal, skip: settings.skip });
  const model = yield* chooseModel(checked.dataset, { ...training, signal: shell.signal });
  const planned = withBackboneRate(resolved, model, imagesLearned(checked.dataset, resolved));
  const { workers, cacheMemory } = options;
  const pool = createPool({
    workers,
    signal: shell.signal,
    memory: cacheMemory === undefined ? undefined : cacheMemory * 2 ** 20,
  });
  const engines = createEngines(planned, model, resumed && (await ranBefore(resumed)));
  try {
    return yield* work({ shell, settings, cells, checked, model, planned, pool, engines, before, spent, budget });
  } finally {
    await engines.close();
    await pool.close();
  }
}

/** The settings of the run that goes on, or of a new one. */
const settingsOf = (
  saved: SearchSettings | undefined,
  path: string | undefined,
  options: SearchOptions,
): SearchSettings => (saved ? { ...saved, ...machineOptions(searchOptions, options) } : resolveSearch(path, options));

const candidatesOf = ({ space, n, m, scale, candidates, seed }: SearchSettings): Cell[] =>
  space === 'grid' ? gridCells(n!, m!, scale!) : policyCells(candidates!, seed);

/** How every cell is trained. */
const trainingOf = (settings: SearchSettings): TrainOptions => omit(knownTo(trainingOptions, settings), ['minutes']);

/** Seconds that are left; `spent` were used by earlier sessions. Throws `usage` where there are none. */
function budgetOf({ minutes }: SearchSettings, options: SearchOptions, spent: number): number {
  if (options.minutes !== undefined) return options.minutes * 60;
  const left = minutes === undefined ? Infinity : minutes * 60 - spent;
  if (left > 0) return left;
  throw new PupilError(
    'usage',
    `the ${minutes!} minutes of ${options.resume!} are used up; give more with \`minutes\``,
    {
      option: 'minutes',
    },
  );
}

/** What a search works with. */
export interface SearchWork {
  readonly shell: Shell<SearchSettings, SearchOptions>;
  readonly settings: SearchSettings;
  readonly cells: readonly Cell[];
  readonly checked: CheckedData;
  readonly model: Model;
  /** How every cell is trained. */
  readonly planned: Settings;
  readonly pool: Pool;
  readonly engines: Engines;
  /** What was measured before, and its seconds. */
  readonly before: SearchFile | undefined;
  readonly spent: number;
  /** Seconds. */
  readonly budget: number;
}

/** A search that is about to train. */
export interface BegunSearch {
  readonly run: Run;
  readonly images: RunImages;
  readonly parts: readonly Part[];
  /** Before anything is measured. */
  readonly state: SearchFile;
  /** The name of the engine. */
  readonly engine: string;
  /** What it will do, in words. */
  readonly lines: readonly string[];
}

/** Decodes, plans, and begins the run. */
export async function* beginSearch(work: SearchWork): AsyncGenerator<SearchEvent, BegunSearch, undefined> {
  const { shell, settings, cells, checked, model, planned, pool, engines, budget } = work;
  const { signal } = shell;
  const images = yield* prepareRunImages(
    withoutReported(checked, settings),
    { ...planned, reportOn: undefined },
    { input: model.preprocessing, augmented: true },
    { pool, signal },
  );
  const parts = partsOf(images);
  const plan = planOf(settings, cells.length, planned.epochs, parts.length);
  const { engine, line, ranOn, warning } = await engines.open();
  if (warning !== undefined) yield { type: 'warning', message: warning };
  const run = await shell.begin('search', {
    settings,
    training: planned,
    classes: checked.dataset.classes,
    dataHash: checked.dataset.hash,
    architecture: model.architecture,
    engine: engine.description,
    ranOn,
  });
  const heldOut = parts.map(({ select }) => sharedGroups(select.map((index) => images.evaluation.samples[index]!)));
  const lines = describePlan({ settings, plan, images, parts, model, engine: line, budget });
  return { run, images, parts, state: beginning(cells, plan, heldOut), engine: engine.name, lines };
}

/** What trains each cell of a search. */
export function trainerOf(
  { shell: { signal, options }, engines, model, settings, planned, checked: { dataset } }: SearchWork,
  { run, images, parts }: BegunSearch,
): AsyncGenerator<RunEvent, Trainer, undefined> {
  const featureCache = options.featureCache ?? featuresOfRun(run);
  return createTrainer({ engines, model, images, parts, settings, planned, dataset, run, featureCache, signal });
}

/** Trains cell after cell, and reports. */
async function* runSearch(
  work: SearchWork,
): AsyncGenerator<SearchEvent, Omit<SearchResult, keyof RunResult> & Partial<RunResult>, undefined> {
  const { shell, settings } = work;
  const begun = yield* beginSearch(work);
  const { run, lines } = begun;
  let state = work.before ?? begun.state;
  assertSamePlan(run, state, begun.state.plan);
  await runFiles.search.write(run.path, state);
  yield { type: 'plan', run: run.path, lines };
  try {
    state = yield* trainCells(work, run, state, yield* trainerOf(work, begun));
  } catch (error) {
    if (!shell.signal.aborted) throw error;
    state = (await runFiles.search.read(run.path))!;
    await writeOutcome(run, settings, state);
    throw interrupted(run, state, error);
  }
  await writeOutcome(run, settings, state);
  assertConverged(state);
  return resultOf(run, settings, state, shell.elapsed() + work.spent);
}

/** Throws `diverged` where the best training did. */
export function assertConverged({ plan, measured }: SearchFile): void {
  if (ranking(plan, measured)[0]!.loss !== Infinity) return;
  throw new PupilError('diverged', 'every training diverged, also with basic augmentation: try a lower `lr`', {
    option: 'lr',
  });
}

function planOf(settings: SearchSettings, cells: number, epochs: number, parts: number): HalvingPlan {
  const { halving, eta, minEpochs, seeds = Math.max(2, parts) } = settings;
  const rungs = halving ? planRungs({ epochs, candidates: cells - 1, eta, minEpochs }) : [epochs];
  return { cells, baseline: 0, seeds, rungs, eta };
}

function assertSamePlan(run: Run, state: SearchFile, plan: HalvingPlan): void {
  if (JSON.stringify(state.plan) === JSON.stringify(plan)) return;
  throw new PupilError(
    'bad-data',
    `${runFiles.search.in(run.path)}: was made for another plan (${JSON.stringify(state.plan)}); ` +
      'start the search again',
  );
}

const interrupted = (run: Run, { measured: { length } }: SearchFile, cause: unknown): PupilError =>
  new PupilError(
    'interrupted',
    `interrupted; ${counted(length, 'finished training')} saved; continue with \`resume: ${run.path}\``,
    { cause },
  );

/** Trains what is pending, as long as there is time; what was measured is saved after each. */
async function* trainCells(
  { shell, settings, cells, engines, budget }: SearchWork,
  run: Run,
  begun: SearchFile,
  trainer: Trainer,
): AsyncGenerator<SearchEvent, SearchFile, undefined> {
  let state = begun;
  const { plan } = state;
  const left = (): number => budget - shell.elapsed();
  for (let next = pending(plan, state.measured)[0]; next !== undefined; next = pending(plan, state.measured)[0]) {
    const epochs = plan.rungs[next.rung]!;
    const isFirst = state.measured.length === 0;
    if (!isFirst && estimateSeconds(plan, state.measured, epochs)! > left()) break;
    shell.signal.throwIfAborted();
    yield { type: 'cell', ...progressOf(cells, state, next), epochs };
    const began = performance.now();
    const score = yield* trainer(cells[next.cell]!, next, epochs, () => !isFirst && left() < 0);
    if (score === undefined) break;
    const seconds = (performance.now() - began) / 1000;
    state = { ...state, measured: [...state.measured, { ...next, ...score, seconds }] };
    await runFiles.search.write(run.path, state);
    await runFiles.choices.write(run.path, (await engines.current()).choices);
    yield { type: 'cell-done', ...progressOf(cells, state, next), ...score, seconds };
    const halved = halvingAfter(cells, state, next.rung);
    if (!halved) continue;
    yield halved;
    await writeOutcome(run, settings, state);
  }
  return state;
}

/** The event of a rung that is finished, when there is another after it. */
function halvingAfter(cells: readonly Cell[], { plan, measured }: SearchFile, rung: number): SearchEvent | undefined {
  const kept = rung + 1 < plan.rungs.length ? contenders(plan, measured, rung + 1) : undefined;
  return (
    kept && {
      type: 'halving',
      rung: rung + 1,
      rungs: plan.rungs.length,
      epochs: plan.rungs[rung]!,
      kept: kept.map((cell) => cells[cell]!.policy.name),
      dropped: contenders(plan, measured, rung)!.length - kept.length,
    }
  );
}

/** What a search may see: nothing of what is only reported on, nor copies of it. */
function withoutReported({ check: { dataset } }: CheckedData, { reportOn }: SearchSettings): CheckedData {
  const samples = dataset.samples.filter(({ split }) => split !== 'test' && split !== reportOn);
  const seen = { ...dataset, samples };
  return { dataset: seen, check: checkDataset(seen) };
}

export function progressOf(
  cells: readonly Cell[],
  { plan, measured }: SearchFile,
  { cell, rung, seed }: Training,
): SearchProgress {
  const total = totalOf(plan);
  const [first] = ranking(plan, measured);
  return {
    policy: cells[cell]!.policy.name,
    rung: rung + 1,
    rungs: plan.rungs.length,
    seed,
    done: measured.length,
    planned: total.trainings,
    epochsDone: measured.reduce((sum, item) => sum + plan.rungs[item.rung]!, 0),
    epochsPlanned: total.epochs,
    best: first && { policy: cells[first.cell]!.policy.name, top1: first.top1 },
  };
}
