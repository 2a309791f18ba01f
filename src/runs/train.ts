import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { hasCheckpoint } from '../artifact/checkpoint.js';
import type { RunConfig } from '../artifact/formats.js';
import { readPseudoLabels } from '../artifact/pseudo-labels.js';
import { createPool, type Pool } from '../data/pool.js';
import type { Preprocessing } from '../data/preprocessing.js';
import type { PseudoLabels } from '../data/pseudo-labels.js';
import type { Dataset } from '../data/sample.js';
import type { Engine } from '../engine/engine.js';
import { forNetworkOf } from '../engine/foreign.js';
import { PupilError } from '../errors.js';
import { Job } from '../job.js';
import { taughtBy } from '../models/licence.js';
import type { Model } from '../models/model.js';
import { threadsOfRank } from '../parallel/join.js';
import { alone, type Ranks } from '../parallel/ranks.js';
import { teacherGraph, type TeacherModel } from '../techniques/teacher.js';
import { techniqueOf } from '../techniques/index.js';
import type { Technique } from '../techniques/technique.js';
import { isFrozen, machineOptions, omit, savedOptions, withSignal } from '../options/option.js';
import { trainingOptions } from '../options/training.js';
import { changesImages, mixingOf, readPolicy } from './augmentation.js';
import { chooseModel } from './choose-model.js';
import { chooseBackbones, chooseTeachers, consultTeachers, type Backbone } from './consult.js';
import type { StepsTime } from './context.js';
import { batchOf, checkMetrics } from './descent.js';
import { openRunEngine, ranBefore } from './engine.js';
import type { RunEvent, TrainResult } from './events.js';
import { featuresOfRun } from './features.js';
import { finish } from './finish.js';
import { trainAsTold } from './follow.js';
import { prepareRunImages, type CheckedData, type ImagesWanted } from './images.js';
import { openForRun, type OpenRun } from './open.js';
import type { OpenModel } from './open-once.js';
import { graphsOf } from './phases.js';
import { describePlan, workOf } from './plan.js';
import {
  announce,
  assertSameImages,
  hashesOf,
  joinAlike,
  listen,
  meetPrepared,
  tellResult,
  sayOfRanks,
} from './ranks.js';
import { imagesLearned, resolveSettings, withReasons, type Settings, type TrainOptions } from './resolve.js';
import { takePart } from './share.js';
import { trainModel } from './train-model.js';
import type { TrainRequest } from './values.js';
import { keepingWarnings } from './warnings.js';
import { beginWorkTime } from './work-time.js';

/**
 * Trains a classifier on a folder, tar or manifest of labelled images (or an opened data set), and
 * gives its result when awaited and what happens when looped over. `mode: 'probe'` solves a head on
 * the frozen backbone, `consensus` one on the labels that it finds for unlabelled images, `finetune`
 * trains everything, `scratch` a built-in network. The run folder holds `model.onnx`, metrics,
 * checkpoints and a report. Throws PupilErrors: `usage`, `bad-data`, `not-found`, `diverged`,
 * `interrupted` (the state was saved)...
 *
 * @example
 * const { val, model } = await train('photos', { model: 'backbone.onnx', mode: 'probe' });
 * console.log(val?.top1, model); // no `val` where nothing is held out
 *
 * @example
 * const run = train('photos', { epochs: 3 });
 * for await (const event of run) if (event.type === 'epoch') console.log(event.epoch, event.loss);
 * const { val } = await run;
 */
export function train(data: string | Dataset | undefined, options: TrainRequest = {}): Job<RunEvent, TrainResult> {
  return new Job(async function* (signal) {
    const ranks = await joinAlike('train', options, signal);
    return yield* trainAs('train', data, withSignal(options, AbortSignal.any([signal, ranks.signal])), { ranks });
  }, options);
}

/** What a training may share with others of a job. */
export interface Shared {
  /** Opens the data where none is given. */
  readonly dataOf?: ((settings: TrainOptions) => Promise<Dataset>) | undefined;
  /** Where decoded images are. */
  readonly pool?: Pool | undefined;
  readonly open?: OpenModel | undefined;
  /** Those that train together; default this process alone. */
  readonly ranks?: Ranks | undefined;
  readonly time?: StepsTime | undefined;
  /** Is waited for before it is calibrated and measured: what makes the runs that it is calibrated on. */
  readonly ending?: (() => AsyncGenerator<RunEvent, void, undefined>) | undefined;
}

/**
 * `train` under the name of a command. All ranks end alike, with the result or the error of the first; a training
 * that the first leaves half-way, all leave.
 */
export async function* trainAs(
  command: 'train' | 'distill',
  data: string | Dataset | undefined,
  told: TrainRequest,
  { ranks = alone, ...others }: Shared = {},
): AsyncGenerator<RunEvent, TrainResult, undefined> {
  let isOver = false;
  try {
    const result = ranks.leads
      ? yield* keepingWarnings(leadTraining(command, data, told, { ranks, ...others }))
      : yield* followTraining(command, data, told, { ranks, ...others });
    await ranks.end();
    isOver = true;
    return result;
  } catch (error) {
    isOver = true;
    return await ranks.fail(error);
  } finally {
    if (!isOver) await ranks.fail(new PupilError('interrupted', 'the first rank left')).catch(() => undefined);
  }
}

/** The training of a process alone, or of the first of several ranks. */
async function* leadTraining(
  command: 'train' | 'distill',
  data: string | Dataset | undefined,
  told: TrainRequest,
  { dataOf, pool: shared, open, ranks, time, ending }: Shared & { readonly ranks: Ranks },
): AsyncGenerator<RunEvent, TrainResult, undefined> {
  const opened = await openForRun<Settings, TrainOptions>({
    command,
    table: trainingOptions,
    options: told,
    data,
    dataOf,
  });
  const { resumed, options } = opened;
  const { signal } = options;
  const pool = shared ?? poolFor(options);
  let engine: Engine | undefined,
    isOver = false;
  const worked = await beginWorkTime(resumed?.path);
  try {
    const training = yield* prepareTraining(opened, { saved: resumed?.config.settings, open });
    const { settings, model, backbones, teachers: teacherModels } = training;
    if (resumed) await checkMetrics(resumed);
    // Without a checkpoint the run begins again; what it logged before would stand there twice.
    if (resumed && !(await hasCheckpoint(resumed.checkpoints))) await resumed.truncateMetrics(0);
    const running = await openRunEngine({
      engine: settings.engine,
      threads: settings.threads ?? threadsOfRank(),
      precision: isFrozen(settings.mode) ? 'f32' : settings.precision,
      purpose: isFrozen(settings.mode) ? 'evaluation' : undefined,
      graphs: () => [
        ...[model, ...backbones.map((other) => other.model)].flatMap((network) => graphsOf(network, settings)),
        ...teacherModels.map(teacherGraph),
      ],
      before: resumed && (await ranBefore(resumed)),
    });
    engine = model.pretrained ? forNetworkOf(model.architecture, running.engine) : running.engine;
    if (running.warning !== undefined) yield { type: 'warning', message: running.warning };
    yield* sayOfRanks(ranks, settings);
    await announce(ranks, { settings, ranOn: running.ranOn, ...hashesOf(training.data.dataset) });
    const sharing = await takePart({ ...training, command, resumed, ranks });
    const images = yield* prepareRunImages(training.data, settings, imagesFor(training), { pool, signal });
    // A teacher that is no good is told before there is a run.
    const teachers = yield* consultTeachers(engine, teacherModels, images, settings);
    const { mode, batchSize } = settings;
    if (!isFrozen(mode) && batchSize !== 'auto') batchOf({ ...settings, batchSize }, images.split.train.length, ranks);
    await meetPrepared(ranks);
    const run = await opened.begin(settings.mode, {
      machine: sharing?.machine,
      settings,
      reasons: training.reasons ?? resumed?.config.reasons,
      classes: images.dataset.classes,
      dataHash: images.dataset.hash,
      architecture: model.architecture,
      backbone: model.backbone,
      teachers: model.teachers,
      engine: engine.description,
      ranOn: running.ranOn,
    });
    const lines = describePlan(settings, running.line, images, model);
    yield { type: 'plan', run: run.path, lines, work: workOf(images.split) };
    const featureCache = options.featureCache ?? featuresOfRun(run);
    const context = { engine, images, settings, run, featureCache, signal };
    const events = trainModel({ ...context, model, teachers, backbones, ranks, sharing, time });
    const trained = yield* worked.during(events, run.path);
    for (const teacher of teachers) await teacher.close();
    if (ending) yield* ending();
    const result = yield* finish({ ...context, trained, worked });
    isOver = true;
    await tellResult(ranks, result);
    return result;
  } finally {
    if (!isOver && opened.run) await worked.keep(opened.run.path);
    await engine?.close();
    if (pool !== shared) await pool.close();
    await opened.close();
  }
}

/** What the other ranks do: they train as the first tells them, and write nothing. */
async function* followTraining(
  command: 'train' | 'distill',
  data: string | Dataset | undefined,
  told: TrainRequest,
  { dataOf, pool: shared, open, ranks }: Shared & { readonly ranks: Ranks },
): AsyncGenerator<RunEvent, TrainResult, undefined> {
  const announced = await listen(ranks);
  const opened = await openForRun<Settings, TrainOptions>({
    command,
    table: trainingOptions,
    options: omit(told, ['out', 'resume']),
    data: data ?? announced.settings.data,
    dataOf,
  });
  const { signal } = opened.options;
  const pool = shared ?? poolFor(opened.options);
  let engine: Engine | undefined;
  try {
    const training = yield* prepareTraining(opened, { saved: announced.settings, open });
    const { settings, model, teachers: teacherModels } = training;
    assertSameImages(announced, training.data.dataset);
    const running = await openRunEngine({
      engine: announced.ranOn.name,
      precision: announced.ranOn.precision,
      threads: settings.threads ?? threadsOfRank(),
    });
    engine = model.pretrained ? forNetworkOf(model.architecture, running.engine) : running.engine;
    const images = yield* prepareRunImages(training.data, settings, imagesFor(training), { pool, signal });
    const teachers = yield* consultTeachers(engine, teacherModels, images, settings);
    await meetPrepared(ranks);
    const result = yield* trainAsTold({ engine, model, images, teachers, signal, ranks });
    for (const teacher of teachers) await teacher.close();
    return result;
  } finally {
    await engine?.close();
    if (pool !== shared) await pool.close();
    await opened.close();
  }
}

/** Workers and memory as a training is told. */
export const poolFor = ({
  workers = threadsOfRank(),
  cacheMemory,
  signal,
}: Pick<TrainOptions, 'workers' | 'cacheMemory' | 'signal'>): Pool =>
  createPool({ workers, signal, memory: cacheMemory === undefined ? undefined : cacheMemory * 2 ** 20 });

/** What is decided, and why where it was not asked for. */
type Settled = Pick<RunConfig<Settings>, 'settings' | 'reasons'>;

/** What is trained, before anything is decoded. */
interface Training extends Settled {
  readonly technique: Technique;
  readonly data: CheckedData;
  readonly model: Model;
  readonly teachers: readonly TeacherModel[];
  /** What a consensus also looks at. */
  readonly backbones: readonly Backbone[];
  readonly pseudoLabels: PseudoLabels | undefined;
}

/** Mistakes in what was asked for are told before anything is opened. `saved`: settings that are settled. */
async function* prepareTraining(
  { options, source, path, openImages }: OpenRun<Settings, TrainOptions>,
  { saved, open }: { readonly saved: Settings | undefined; readonly open?: OpenModel | undefined },
): AsyncGenerator<RunEvent, Training, undefined> {
  const resolved = saved ?? resolveSettings(path, await readPolicies(options));
  const technique = techniqueOf(resolved);
  const { pseudoLabels: file, reportOn } = resolved;
  const data = await openImages({
    unlabelled: [...resolved.unlabelled, ...(file === undefined ? [] : await pseudoLabelledFiles(file, source))],
    reportOn,
    signal: options.signal,
    skip: resolved.skip,
    labels: technique.needs.labels === true,
  });
  const { classes } = data.dataset;
  const pseudoLabels = file === undefined ? undefined : await readPseudoLabels(file, classes);
  const model = yield* chooseModel(data.dataset, { ...resolved, signal: options.signal }, open);
  const machine = savedOptions(trainingOptions, machineOptions(trainingOptions, options));
  const { settings, reasons }: Settled = saved
    ? { settings: { ...saved, ...machine, preview: saved.preview ?? options.preview } }
    : withReasons(resolved, model, imagesLearned(data.check.dataset, resolved, pseudoLabels));
  const told = { classes, signal: options.signal, open };
  const isConsensus = settings.mode === 'consensus';
  const teachers = isConsensus ? [] : yield* chooseTeachers(settings, told);
  const backbones = isConsensus ? yield* chooseBackbones(settings, told) : [];
  const taught = taughtBy(model, [...[...teachers, ...backbones].map((other) => other.model), { ...pseudoLabels }]);
  return { settings, reasons, technique, data, model: taught, teachers, backbones, pseudoLabels };
}

/** The options with their policies read. */
const readPolicies = async (options: TrainOptions): Promise<TrainOptions> => ({
  ...options,
  augment: options.augment === undefined ? undefined : await readPolicy(options.augment, 'augment'),
  strong: options.strong === undefined ? undefined : await readPolicy(options.strong, 'strong'),
});

/** Which images a training decodes, and how large. */
function imagesFor({ settings, technique, model, teachers, backbones, pseudoLabels }: Training): ImagesWanted {
  return {
    input: model.preprocessing,
    view: largest([model, ...teachers.map((teacher) => teacher.model)]),
    asked: [...teachers, ...backbones].map((teacher) => teacher.model.preprocessing),
    labels: technique.needs.labels === true,
    unlabelled: settings.mode === 'consensus' ? 'optional' : technique.needs.unlabelled,
    augmented:
      technique.views.some((view) => view.augment !== 'augment') ||
      changesImages(settings) ||
      (teachers.length > 0 && mixingOf(settings) !== undefined),
    pseudoLabels,
  };
}

/** The input of the network that sees most pixels. */
function largest(models: readonly Model[]): Preprocessing {
  const area = ({ size: [height, width] }: Preprocessing): number => height * width;
  return models
    .map(({ preprocessing }) => preprocessing)
    .reduce((most, other) => (area(other) > area(most) ? other : most));
}

/**
 * Files among the rows of pseudo-labels that are images of their own; those inside archives and
 * data sets are found there.
 */
async function pseudoLabelledFiles(file: string, source: string | Dataset): Promise<string[]> {
  const { rows } = await readPseudoLabels(file);
  // By content as well: rows and a run that goes on elsewhere may name the same image in two ways.
  const known = new Set(
    typeof source === 'string' ? [] : source.samples.flatMap(({ path, hash }) => [resolve(path), hash]),
  );
  return rows.flatMap(({ path, hash, copies }) =>
    copies > 0 && !known.has(resolve(path)) && !known.has(hash) && existsSync(path) ? [path] : [],
  );
}
