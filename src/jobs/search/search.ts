import { performance } from 'node:perf_hooks';
import { assertFree, createRun, openRun, type Run } from '../../artifact/run.js';
import { checkDataset } from '../../data/check.js';
import { createPool } from '../../data/pool.js';
import type { Dataset, Sample } from '../../data/sample.js';
import type { RanOn } from '../../engine/index.js';
import type { Engine } from '../../engine/engine.js';
import { invariant, PupilError } from '../../errors.js';
import { run as runClassifier } from '../../evaluate/evaluate.js';
import { classifierOf } from '../../evaluate/load.js';
import { argmax, crossEntropy } from '../../evaluate/metrics.js';
import { Job } from '../../job.js';
import { isNormalisationFolded, type Model } from '../../models/model.js';
import { version } from '../../version.js';
import { chooseAutomatically } from '../../runs/automatic.js';
import { openRunEngine, ranBefore, type RanBefore, type RunEngine } from '../../runs/engine.js';
import type { RunEvent } from '../../runs/events.js';
import { indexesOf, openImages, prepareRunImages, type RunImages } from '../../runs/images.js';
import { graphsOf, type FixedSettings } from '../../runs/phases.js';
import type { ProbeResult } from '../../techniques/probe.js';
import { searchOptions } from '../../options/jobs.js';
import { knownTo, machineOptions } from '../../options/option.js';
import { trainingOptions } from '../../options/training.js';
import { refuseChanges } from '../../runs/resume.js';
import { resolveSettings, type Settings, type TrainOptions } from '../../runs/resolve.js';
import { trainSupervised } from '../../runs/descent.js';
import { chooseModel, probeHead, withHead } from '../../runs/train.js';
import { baseline, gridCells, policyCells, type Cell } from './cells.js';
import {
  contenders,
  estimateSeconds,
  pending,
  planRungs,
  ranking,
  totalOf,
  type HalvingPlan,
  type Measurement,
  type Training,
} from './halving.js';
import { resultOf, writeOutcome, type SearchResult } from './outcome.js';
import { resolveSearch, type SearchOptions, type SearchSettings } from './settings.js';
import { beginning, readState, writeState, type SearchState } from './state.js';

/** What happens in a search. Rungs count from 1. */
export type SearchEvent =
  | RunEvent
  /**
   * A training begins; the `start` and `step` events that follow belong to it. Epochs are those of
   * trainings alone.
   */
  | (Progress & { readonly type: 'cell'; readonly epochs: number })
  | (Progress & {
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

interface Progress {
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

/** What `run.json` of a search holds. */
interface SearchConfig {
  readonly command: 'search';
  readonly settings: SearchSettings;
  /** How every cell is trained. */
  readonly training: Settings;
  readonly classes: readonly string[];
  readonly dataHash: string;
  readonly architecture: string;
  readonly versions: Readonly<Record<string, string>>;
  readonly engine: string;
  readonly ranOn?: RanOn;
}

/**
 * Searches an augmentation policy: every cell of a grid over RandAugment's N and M (Cubuk et al.
 * 2019), or random combinations of ops, is trained on the training part and measured on held-out
 * images that no reported number uses (`val/`, else a part of the labelled training images; below
 * 200 labels seed i learns from fold i), by successive halving. What was
 * measured is in the run folder after every training: an interrupted search goes on with `resume`.
 * Throws `usage`, `bad-data`, `interrupted`...
 *
 * @example
 * const { best } = await search('photos', { mode: 'scratch', model: 'resnet8', epochs: 27 });
 * console.log(best.augment);
 */
export const search = (
  data: string | Dataset | undefined,
  options: SearchOptions = {},
): Job<SearchEvent, SearchResult> => new Job((signal) => searchPolicy(data, { ...options, signal }), options.signal);

async function* searchPolicy(
  data: string | Dataset | undefined,
  options: SearchOptions,
): AsyncGenerator<SearchEvent, SearchResult, undefined> {
  const started = performance.now();
  const resumed = options.resume === undefined ? undefined : await openRun(options.resume);
  const saved = resumed?.config as SearchConfig | undefined;
  if (saved && saved.command !== 'search')
    throw new PupilError('usage', `--resume ${options.resume!}: it is no search; give the folder of one`);
  if (resumed) await refuseChanges(searchOptions, resumed, data, options);
  const source = data ?? saved?.settings.data;
  if (source === undefined)
    throw new PupilError('usage', 'no data: give a folder with one subfolder per class, or --resume RUN');
  if (!resumed && options.out !== undefined) await assertFree(options.out);
  const settings: SearchSettings = saved
    ? {
        ...saved.settings,
        ...machineOptions(searchOptions, options),
      }
    : resolveSearch(typeof data === 'string' ? data : undefined, options);
  // Mistakes in what was asked for are told before anything is opened.
  const candidates =
    settings.space === 'grid'
      ? gridCells(settings.n!, settings.m!, settings.scale!)
      : policyCells(settings.candidates!, settings.seed);
  const cells = [baseline(), ...candidates];
  const { minutes: _, ...training } = knownTo(trainingOptions, settings);
  const trainOptions: TrainOptions = { ...training, augment: cells[0]!.policy };
  resolveSettings(undefined, trainOptions);

  const before = resumed && (await readState(resumed));
  const spent = (before?.measured ?? []).reduce((sum, { seconds }) => sum + seconds, 0);
  const budget =
    options.minutes !== undefined
      ? options.minutes * 60
      : settings.minutes === undefined
        ? Infinity
        : settings.minutes * 60 - spent;
  if (budget <= 0)
    throw new PupilError(
      'usage',
      `--resume ${options.resume!}: its ${settings.minutes!} minutes are used up; give --minutes T for T more`,
    );

  const dataset = await openImages(source, { unlabelled: [], reportOn: settings.reportOn });
  if (saved && saved.dataHash !== dataset.hash) {
    throw new PupilError(
      'bad-data',
      `--resume ${options.resume!}: the images in ${dataset.path} changed since the search began; restore them, or start a new one`,
    );
  }
  const model = yield* chooseModel(dataset, { ...trainOptions, ...(options.signal && { signal: options.signal }) });
  const planned = resolveSettings(settings.data, trainOptions, isNormalisationFolded(model.graph));
  const pool = createPool({
    ...(options.workers !== undefined && { workers: options.workers }),
    ...(options.cacheMemory !== undefined && { memory: options.cacheMemory * 2 ** 20 }),
  });
  const engines = createEngines(planned, model, resumed && (await ranBefore(resumed)));
  let opened: Run | undefined, state: SearchState | undefined;
  try {
    const { samples, warnings } = withoutReported(dataset, settings);
    for (const message of warnings) yield { type: 'warning', message };
    const images = yield* prepareRunImages(
      { ...dataset, samples },
      { ...planned, reportOn: undefined },
      { input: model.preprocessing, augmented: true },
      pool,
      options.signal,
    );
    const parts = partsOf(images);
    const rungs = settings.halving
      ? planRungs({
          epochs: planned.epochs,
          candidates: candidates.length,
          eta: settings.eta,
          minEpochs: settings.minEpochs,
        })
      : [planned.epochs];
    const plan: HalvingPlan = {
      cells: cells.length,
      baseline: 0,
      seeds: settings.seeds ?? Math.max(2, parts.length),
      rungs,
      eta: settings.eta,
    };
    const { engine, line, ranOn, warning } = await engines.open();
    if (warning !== undefined) yield { type: 'warning', message: warning };
    const config: SearchConfig = {
      command: 'search',
      settings,
      training: planned,
      classes: dataset.classes,
      dataHash: dataset.hash,
      architecture: model.architecture,
      versions: { pupil: version, node: process.version },
      engine: engine.description,
      ranOn,
    };
    if (warning !== undefined) await resumed!.write('run.json', JSON.stringify(config, null, 2) + '\n');
    const run = (opened = resumed ?? (await createRun(options.out, 'search', { ...config })));
    state =
      before ??
      beginning(
        cells,
        plan,
        parts.slice(0, plan.seeds).reduce((sum, { select }) => sum + select.length, 0),
      );
    if (JSON.stringify(state.plan) !== JSON.stringify(plan)) {
      throw new PupilError(
        'bad-data',
        `${run.file('search.json')}: was made for another plan (${JSON.stringify(state.plan)}); start the search again`,
      );
    }
    await writeState(run, state);
    yield {
      type: 'plan',
      run: run.path,
      lines: describe(settings, plan, planned.epochs, images, parts, line, model, budget),
    };

    const trainer = yield* createTrainer({
      engines,
      model,
      images,
      parts,
      settings,
      planned,
      dataset,
      run,
      ...(options.signal && { signal: options.signal }),
    });
    const left = (): number => budget - (performance.now() - started) / 1000;
    for (let next = pending(plan, state.measured)[0]; next !== undefined; next = pending(plan, state.measured)[0]) {
      const epochs = rungs[next.rung]!;
      const expected = estimateSeconds(plan, state.measured, epochs);
      if (state.measured.length > 0 && expected! > left()) break;
      options.signal?.throwIfAborted();
      const progress = progressOf(cells, state, next);
      yield { type: 'cell', ...progress, epochs };
      const began = performance.now();
      const score = yield* trainer(cells[next.cell]!, next, epochs, () => state!.measured.length > 0 && left() < 0);
      if (score === undefined) break;
      const seconds = (performance.now() - began) / 1000;
      state = { ...state, measured: [...state.measured, { ...next, ...score, seconds }] };
      await writeState(run, state);
      await run.write('choices.json', JSON.stringify((await engines.current()).choices, null, 1) + '\n');
      yield { type: 'cell-done', ...progressOf(cells, state, next), ...score, seconds };
      const kept = next.rung + 1 < rungs.length ? contenders(plan, state.measured, next.rung + 1) : undefined;
      if (kept) {
        yield {
          type: 'halving',
          rung: next.rung + 1,
          rungs: rungs.length,
          epochs,
          kept: kept.map((cell) => cells[cell]!.policy.name),
          dropped: contenders(plan, state.measured, next.rung)!.length - kept.length,
        };
        await writeOutcome(run, settings, state);
      }
    }
    await writeOutcome(run, settings, state);
    if (ranking(plan, state.measured)[0]!.loss === Infinity)
      throw new PupilError('diverged', 'every training diverged, also with basic augmentation: try a lower --lr');
    const result = resultOf(run, settings, state, (performance.now() - started) / 1000 + spent);
    await run.write('result.json', JSON.stringify(result, null, 2) + '\n');
    return result;
  } catch (error) {
    if (!options.signal?.aborted) throw error;
    if (opened === undefined || state === undefined)
      throw new PupilError('interrupted', 'interrupted before the search began; nothing was saved', { cause: error });
    await writeOutcome(opened, settings, state);
    const count = state.measured.length;
    throw new PupilError(
      'interrupted',
      `interrupted; ${count} finished ${count === 1 ? 'training is' : 'trainings are'} saved, continue with pupil search --resume ${opened.path}`,
      { cause: error },
    );
  } finally {
    await engines.close();
    await pool.close();
  }
}

/**
 * What a search may see: nothing of what is only reported on, nor copies of it; and warnings of
 * those copies.
 */
function withoutReported(
  dataset: Dataset,
  { reportOn }: SearchSettings,
): { samples: readonly Sample[]; warnings: string[] } {
  const check = checkDataset(dataset);
  return {
    samples: check.dataset.samples.filter(({ split }) => split !== 'test' && split !== reportOn),
    warnings: check.warnings.flatMap(({ kind, message }) => (kind === 'leak' ? [message] : [])),
  };
}

/**
 * The engine of a search, made when it is first needed; after a training that diverged a new one
 * like it, since the old one holds its state.
 */
function createEngines(settings: Settings, model: Model, resumed: RanBefore | undefined): Engines {
  const { engine, precision, threads } = settings;
  let current: Promise<RunEngine> | undefined,
    before = resumed;
  const open = (): Promise<RunEngine> =>
    (current ??= openRunEngine({ engine, precision, threads, before, graphs: () => graphsOf(model, settings) }));
  return {
    open,
    current: async () => (await open()).engine,
    async close() {
      const old = current && (await current.catch(() => undefined));
      current = undefined;
      if (!old) return;
      const {
        engine: { description, choices },
        ranOn,
      } = old;
      before = { path: resumed?.path ?? 'this search', engine: description, ranOn, choices: { ...choices } };
      await old.engine.close();
    },
  };
}

interface Engines {
  /** The engine, with what is said of it. */
  open(): Promise<RunEngine>;
  current(): Promise<Engine>;
  close(): Promise<void>;
}

/** What one seed learns from and is measured on: indexes into the images for evaluation. */
interface Part {
  readonly learn: readonly number[];
  readonly select: readonly number[];
}

/**
 * One part for all seeds, or one for each fold when labels are few. Throws `bad-data` when nothing
 * can be held out.
 */
function partsOf({ split: { train, selection }, evaluation, dataset }: RunImages): Part[] {
  if (selection.kind === 'none') {
    throw new PupilError(
      'bad-data',
      `${dataset.path}: one label of each class leaves none to compare policies on; add a val folder or more labels`,
    );
  }
  const folds = selection.kind === 'folds' ? selection.folds : [{ train, selection: selection.samples }];
  return folds.map((fold) => ({
    learn: indexesOf(evaluation, fold.train),
    select: indexesOf(evaluation, fold.selection),
  }));
}

function progressOf(cells: readonly Cell[], { plan, measured }: SearchState, { cell, rung, seed }: Training): Progress {
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

/** Trains one cell and measures it; undefined when `stop` said so in between. */
type Trainer = (
  cell: Cell,
  training: Training,
  epochs: number,
  stop: () => boolean,
) => AsyncGenerator<RunEvent, Pick<Measurement, 'top1' | 'loss'> | undefined, undefined>;

/**
 * Makes what all trainings share: automatic choices, and the solved head that fine-tuning starts
 * from, as in `train`.
 */
async function* createTrainer({
  engines,
  model,
  images,
  parts,
  settings,
  planned,
  dataset,
  run,
  signal,
}: {
  readonly engines: Engines;
  readonly model: Model;
  readonly images: RunImages;
  readonly parts: readonly Part[];
  readonly settings: SearchSettings;
  readonly planned: Settings;
  readonly dataset: Dataset;
  readonly run: Run;
  readonly signal?: AbortSignal;
}): AsyncGenerator<RunEvent, Trainer, undefined> {
  const context = {
    engine: await engines.current(),
    model,
    images,
    settings: planned,
    run: { ...run, log: async () => undefined },
    ...(signal && { signal }),
  };
  const inTraining = (indexes: readonly number[]): number[] =>
    images.training === undefined
      ? [...indexes]
      : indexesOf(
          images.training,
          indexes.map((index) => images.evaluation.samples[index]!),
        );
  const { selection } = images.split;
  let probe: ProbeResult | undefined;
  // Augmentation has no part in the head that is solved first, so one serves every cell.
  if (planned.mode === 'finetune' && planned.headFirst === undefined) {
    yield { type: 'phase', name: 'probe' };
    const learn = indexesOf(images.evaluation, images.split.train);
    ({ result: probe } = yield* probeHead(context, learn, selection.kind === 'folds' ? [] : parts[0]!.select));
  }
  const headed = (from: Model, part: number): Model =>
    probe === undefined ? from : withHead(from, selection.kind === 'folds' ? probe.foldHeads[part]! : probe.head);
  const fixed: FixedSettings = yield* chooseAutomatically({
    ...context,
    model: headed(model, 0),
    learn: inTraining(parts[0]!.learn),
  });

  const models = new Map([[0, model]]);
  const modelOf = async (seed: number): Promise<Model> => {
    let chosen = models.get(seed);
    if (chosen === undefined) {
      const events = chooseModel(dataset, { ...settings, augment: planned.augment, seed: planned.seed + seed });
      for (let step = await events.next(); ; step = await events.next()) {
        if (!step.done) continue; // its notes and warnings were told for the first seed
        chosen = step.value;
        break;
      }
      models.set(seed, chosen);
    }
    return chosen;
  };

  return async function* train({ policy }, { seed }, epochs, stop) {
    const part = seed % parts.length;
    const { learn, select } = parts[part]!;
    const share = epochs / fixed.epochs;
    const shorter = (value: number | undefined): number | undefined => value && Math.max(1, Math.round(value * share));
    // A rung is a whole training of its own, its schedule shortened in all its parts.
    const own: FixedSettings = {
      ...fixed,
      seed: fixed.seed + seed,
      augment: policy,
      epochs,
      warmup: fixed.warmup * share,
      patience: undefined,
      minutes: undefined,
      headFirst: shorter(fixed.headFirst),
      gradualUnfreeze: shorter(fixed.gradualUnfreeze),
    };
    const engine = await engines.current();
    const start = headed(await modelOf(seed), part);
    const events = trainSupervised({
      engine,
      model: start,
      images,
      learnFrom: inTraining(learn),
      selectOn: [],
      settings: own,
      ...(signal && { signal }),
    });
    try {
      for (;;) {
        const { value, done } = await events.next();
        if (done) return await measureModel(engine, value.model, images, select);
        yield value;
        if (value.type === 'step' && value.step < 0.9 * value.totalSteps && stop()) {
          await events.return(undefined as never);
          return undefined;
        }
      }
    } catch (error) {
      if (!(error instanceof PupilError && error.code === 'diverged')) throw error;
      yield { type: 'warning', message: `${policy.name} diverged and counts as 0: ${error.message}` };
      await engines.close();
      return { top1: 0, loss: null };
    }
  };
}

/**
 * Accuracy and mean cross-entropy of the weights after the last epoch: those of the best epoch
 * would flatter cells that vary more.
 */
async function measureModel(
  engine: Engine,
  model: Model,
  { evaluation, dataset }: RunImages,
  select: readonly number[],
): Promise<Pick<Measurement, 'top1' | 'loss'>> {
  const classifier = await classifierOf(engine, { ...model, labels: dataset.classes, temperature: 1 });
  try {
    const { logits } = await runClassifier(classifier, evaluation, { subset: select });
    const labels = select.map((index) => evaluation.samples[index]!.label),
      classes = dataset.classes.length;
    invariant(logits.length === labels.length * classes, 'a model answered for other images than it was asked');
    const loss = crossEntropy(logits, labels, classes);
    return {
      top1: labels.filter((label, row) => argmax(logits, row * classes, classes) === label).length / labels.length,
      loss: Number.isFinite(loss) ? loss : null,
    };
  } finally {
    await classifier.close();
  }
}

function describe(
  settings: SearchSettings,
  plan: HalvingPlan,
  epochs: number,
  { split, dataset }: RunImages,
  parts: readonly Part[],
  engine: string,
  model: Model,
  budget: number,
): string[] {
  const total = totalOf(plan);
  const where =
    split.selection.kind === 'val' ? 'in val' : split.selection.kind === 'holdout' ? 'held out of train' : '';
  const cells =
    settings.space === 'grid'
      ? `N ${settings.n!.join(', ')} by M ${settings.m!.join(', ')} (scale ${settings.scale!}) and basic`
      : `${settings.candidates!} policies drawn at random, and basic`;
  return [
    `data       ${dataset.path}: ${split.train.length} labelled images of ${dataset.classes.length} classes to learn from`,
    `measured   on ${split.selection.kind === 'folds' ? `${parts.length} folds of the training labels, seed by seed` : `${parts[0]!.select.length} images ${where}`}`,
    `search     ${cells}; ${plan.seeds} ${plan.seeds === 1 ? 'seed' : 'seeds'}`,
    `trainings  ${total.trainings}, ${total.epochs} epochs together: ${plan.rungs.length === 1 ? `all in full (${epochs} epochs)` : `rungs of ${plan.rungs.join(', ')} epochs, one in ${plan.eta} goes on`}` +
      `${Number.isFinite(budget) ? `, as many as fit in ${Number((budget / 60).toPrecision(3))} min` : ''}`,
    `model      ${model.architecture}, ${settings.mode ?? 'finetune'}`,
    `engine     ${engine}`,
  ];
}
