import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import { performance } from 'node:perf_hooks';
import { hasCheckpoint } from '../artifact/checkpoint.js';
import { readPseudoLabels } from '../artifact/pseudo-labels.js';
import { assertFree, createRun, openRun, type Run } from '../artifact/run.js';
import { createPool } from '../data/pool.js';
import type { Preprocessing } from '../data/preprocessing.js';
import type { Dataset } from '../data/sample.js';
import type { Engine } from '../engine/engine.js';
import { PupilError } from '../errors.js';
import { Job } from '../job.js';
import { classifierOf } from '../evaluate/load.js';
import { run as runClassifier } from '../evaluate/evaluate.js';
import { argmax } from '../evaluate/metrics.js';
import { setHead } from '../models/head.js';
import { resolveModel } from '../models/index.js';
import { isNormalisationFolded, type Model } from '../models/model.js';
import { float32 } from '../tensor.js';
import { version } from '../version.js';
import { changesImages, describeAugmentation, mixingOf, readPolicy } from './augmentation.js';
import { chooseAutomatically } from './automatic.js';
import type { RunConfig, RunContext, TrainedModel } from './context.js';
import { openRunEngine, ranBefore } from './engine.js';
import { relaying, reporting, type RunEvent, type TrainResult } from './events.js';
import { extractFeatures } from '../techniques/features.js';
import { finish } from './finish.js';
import { indexesOf, openImages, prepareRunImages, type RunImages } from './images.js';
import { createLogger } from './logger.js';
import { fitProbe, type LinearHead, type ProbeResult } from '../techniques/probe.js';
import { checkOptions, machineOptions, savedOptions } from '../options/option.js';
import { defaultModels } from '../options/recipes.js';
import { trainingOptions } from '../options/training.js';
import { refuseChanges } from './resume.js';
import { resolveSettings, type Settings, type TrainOptions } from './resolve.js';
import { graphsOf, type FixedSettings } from './phases.js';
import { trainSupervised } from './descent.js';
import {
  askOnce,
  assertBetterThanChance,
  openTeacher,
  teacherGraph,
  teacherOf,
  type Teacher,
  type TeacherModel,
} from '../techniques/teacher.js';
import { defaultTechnique, techniqueOf } from '../techniques/index.js';

/**
 * Trains a classifier on a folder, tar or manifest of labelled images (or an opened data set), and
 * gives its result when awaited and what happens when looped over. `mode: 'probe'` solves a head on
 * the frozen backbone, `finetune` trains everything, `scratch` a built-in network. The run folder holds
 * `model.onnx`, metrics, checkpoints and a report. Throws PupilErrors: `usage`, `bad-data`,
 * `not-found`, `diverged`, `interrupted` (the state was saved)...
 *
 * @example
 * const { val, model } = await train('photos', { model: 'backbone.onnx', mode: 'probe' });
 * console.log(val.top1, model);
 *
 * @example
 * const run = train('photos', { epochs: 3 });
 * for await (const event of run) if (event.type === 'epoch') console.log(event.epoch, event.loss);
 * const { val } = await run;
 */
export const train = (data: string | Dataset | undefined, options: TrainOptions = {}): Job<RunEvent, TrainResult> =>
  new Job((signal) => trainAs('train', data, { ...options, signal }), options.signal);

/** `train` under the name of a command. `dataOf` opens the data where none is given. */
export async function* trainAs(
  command: RunConfig['command'],
  data: string | Dataset | undefined,
  options: TrainOptions,
  dataOf?: (settings: TrainOptions) => Promise<Dataset>,
): AsyncGenerator<RunEvent, TrainResult, undefined> {
  const started = performance.now();
  checkOptions(trainingOptions, options);
  const resumed = options.resume === undefined ? undefined : await openRun(options.resume);
  const saved = resumed && runConfigOf(resumed);
  if (saved && saved.command !== command)
    throw new PupilError('usage', `--resume ${options.resume!}: it is no run of pupil ${command}`);
  if (resumed) await refuseChanges(trainingOptions, resumed, data, options);
  const source = data ?? saved?.settings.data ?? (await dataOf?.(saved ? saved.settings : options));
  if (!resumed && options.out !== undefined) await assertFree(options.out);
  if (source === undefined)
    throw new PupilError('usage', 'no data: give a folder with one subfolder per class, or --resume RUN');

  const augment = saved?.settings.augment ?? options.augment;
  // Mistakes in what was asked for are told before anything is opened.
  const policy = augment === undefined ? undefined : await readPolicy(augment);
  const strong = saved?.settings.strong ?? options.strong;
  const wanted: TrainOptions = {
    ...(saved ? saved.settings : options),
    ...(policy && { augment: policy }),
    ...(strong !== undefined && { strong: await readPolicy(strong) }),
  };
  const technique = techniqueOf(saved ? saved.settings : resolveSettings(undefined, wanted));
  const labels = technique.needs.labels === true;
  const { pseudoLabels: pseudoFile } = wanted;
  const unlabelled = [
    ...(wanted.unlabelled ?? []),
    ...(pseudoFile === undefined ? [] : await pseudoLabelledFiles(pseudoFile, source)),
  ];
  const dataset = await openImages(source, { unlabelled, reportOn: wanted.reportOn }, { labels });
  const pseudoLabels = pseudoFile === undefined ? undefined : await readPseudoLabels(pseudoFile, dataset.classes);
  if (saved && saved.dataHash !== dataset.hash) {
    throw new PupilError(
      'bad-data',
      `--resume ${options.resume!}: the images in ${dataset.path} changed since the run began; restore them, or start a new run`,
    );
  }
  const model = yield* chooseModel(dataset, wanted);
  // A run keeps its settings; those of before policies name their augmentation only.
  const settings: Settings = saved
    ? {
        ...saved.settings,
        ...(policy && { augment: policy }),
        ...savedOptions(trainingOptions, machineOptions(trainingOptions, options)),
        preview: saved.settings.preview ?? options.preview,
      }
    : resolveSettings(typeof data === 'string' ? data : undefined, wanted, isNormalisationFolded(model.graph));
  const teacherModels: TeacherModel[] = [];
  for (const name of settings.teachers) {
    teacherModels.push(
      teacherOf(
        name,
        await resolveModel(name, { normalize: settings.teacherNormalize, size: settings.teacherSize }),
        dataset.classes,
      ),
    );
  }
  const pool = createPool({
    ...(options.workers !== undefined && { workers: options.workers }),
    ...(options.cacheMemory !== undefined && { memory: options.cacheMemory * 2 ** 20 }),
  });
  let engine: Engine | undefined;
  try {
    // Without a checkpoint the run begins again; what it logged before would stand there twice.
    if (resumed && !(await hasCheckpoint(resumed.checkpoints))) await resumed.truncateMetrics(0);
    const opened = await openRunEngine({
      engine: settings.engine,
      threads: settings.threads,
      ...(settings.mode === 'probe' ? { precision: 'f32', purpose: 'evaluation' } : { precision: settings.precision }),
      graphs: () => [...graphsOf(model, settings), ...teacherModels.map(teacherGraph)],
      before: resumed && (await ranBefore(resumed)),
    });
    engine = opened.engine;
    if (opened.warning !== undefined) yield { type: 'warning', message: opened.warning };
    const images = yield* prepareRunImages(
      dataset,
      settings,
      {
        input: model.preprocessing,
        view: largest([model, ...teacherModels.map((teacher) => teacher.model)]),
        labels,
        unlabelled: technique.needs.unlabelled,
        augmented:
          technique.views.some((view) => view.augment !== 'augment') ||
          changesImages(settings) ||
          (teacherModels.length > 0 && mixingOf(settings) !== undefined),
        ...(pseudoLabels && { pseudoLabels }),
      },
      pool,
      options.signal,
    );
    // A teacher that is no good is told before there is a run.
    const teachers: Teacher[] = [];
    for (const teacher of teacherModels) {
      const running = await openTeacher(engine, teacher);
      teachers.push(running);
      yield* reporting(`asking ${basename(teacher.name)}`, 'images', (report) =>
        consult(running, images, settings, report),
      );
    }
    const config: RunConfig = {
      command,
      settings,
      classes: dataset.classes,
      dataHash: dataset.hash,
      architecture: model.architecture,
      versions: { pupil: version, node: process.version },
      engine: engine.description,
      ranOn: opened.ranOn,
    };
    if (opened.warning !== undefined) await resumed!.write('run.json', JSON.stringify(config, null, 2) + '\n');
    const run = resumed ?? (await createRun(options.out, settings.mode, { ...config }));
    yield { type: 'plan', run: run.path, lines: describePlan(config, opened.line, images, model) };

    const trained = yield* trainModel({
      engine,
      model,
      images,
      settings,
      run,
      teachers,
      ...(options.signal && { signal: options.signal }),
    });
    for (const teacher of teachers) await teacher.close();
    const result = yield* finish({ engine, images, settings, run, config, trained, started });
    return result;
  } catch (error) {
    if (options.signal?.aborted && !(error instanceof PupilError)) {
      throw new PupilError('interrupted', 'interrupted outside the training steps; what was saved before is kept', {
        cause: error,
      });
    }
    throw error;
  } finally {
    await engine?.close();
    await pool.close();
  }
}

/** What a run was begun with; those of before techniques were supervised. */
function runConfigOf({ config }: Run): RunConfig {
  const saved = config as unknown as RunConfig;
  return {
    ...saved,
    settings: {
      ...saved.settings,
      technique: saved.settings?.technique ?? defaultTechnique,
      teachers: saved.settings?.teachers ?? [],
    },
  };
}

/** The model to train, with a head for the classes. Says what is downloaded before it is. */
export function chooseModel(dataset: Dataset, options: TrainOptions): AsyncGenerator<RunEvent, Model, undefined> {
  const scratch = options.mode === 'scratch';
  return relaying(async (emit) => {
    const { formatRemote } = await import('../models/hub.js');
    const model = await resolveModel(options.model ?? defaultModels[scratch ? 'scratch' : 'pretrained'], {
      labels: dataset.classes,
      seed: options.seed ?? 0,
      purpose: scratch ? 'scratch' : 'pretrained',
      warn: (message) => emit({ type: 'warning', message }),
      ...(options.normalize !== undefined && { normalize: options.normalize }),
      ...(options.size !== undefined && { size: options.size }),
      ...(options.head !== undefined && { head: options.head }),
      hub: {
        announce: (remote) => emit({ type: 'note', message: `downloading ${formatRemote(remote)}` }),
        progress: ({ file, received, total }) =>
          emit({
            type: 'progress',
            what: `downloading ${file}`,
            unit: 'MB',
            done: Math.floor(received / 1e6),
            total: Math.ceil(total / 1e6),
          }),
        ...(options.signal && { signal: options.signal }),
      },
    });
    return scratch ? model : { ...model, labels: dataset.classes };
  });
}

function describePlan(
  config: RunConfig,
  engine: string,
  { split, dataset, pseudo }: RunImages,
  model: Model,
): string[] {
  const { settings } = config;
  const { selection, report } = split;
  const selects =
    selection.kind === 'folds'
      ? `${selection.folds.length}-fold over the training labels`
      : selection.kind === 'none'
        ? 'nothing (too few labels)'
        : `${selection.samples.length} images ${selection.kind === 'val' ? 'in val' : 'held out of train'}`;
  const how = settings.technique === defaultTechnique ? settings.mode : `${settings.mode} by ${settings.technique}`;
  const rates =
    settings.mode === 'probe'
      ? 'the head is solved to its optimum on fixed features'
      : `${settings.epochs} epochs, batch ${settings.batchSize}, ${settings.optimizer}, learning rate ${settings.lr}${model.pretrained && settings.backboneLr !== undefined ? ` (pretrained part ${Number(settings.backboneLr.toPrecision(3))})` : ''}, ${settings.schedule}, augmentation ${describeAugmentation(settings)}`;
  return [
    `data       ${dataset.path}: ${split.train.length} labelled images of ${dataset.classes.length} classes to learn from${split.unlabelled.length > 0 ? `, ${split.unlabelled.length} unlabelled` : ''}` +
      (pseudo
        ? `, ${pseudo.targets.size} of them pseudo-labelled${pseudo.indexes.length === pseudo.targets.size ? '' : ` (${pseudo.indexes.length} with copies)`}`
        : ''),
    `selection  ${selects}${report ? `; report on ${report.samples.length} images in ${report.split}` : ''}`,
    `model      ${model.architecture}, ${how}: ${rates}`,
    `engine     ${engine}`,
  ];
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
  const known = new Set(typeof source === 'string' ? [] : source.samples.map(({ path }) => path));
  return rows.flatMap(({ path, copies }) => (copies > 0 && !known.has(path) && existsSync(path) ? [path] : []));
}

/**
 * Asks a teacher for what has to be known before training: all images when their views never
 * change, else those that tell whether it is any good.
 */
async function consult(
  teacher: Teacher,
  images: RunImages,
  settings: Settings,
  report: (done: number, total: number) => void,
): Promise<void> {
  const { dataset, evaluation, training } = images,
    { classes } = dataset;
  const all = training ?? evaluation;
  const fixed = training === undefined && mixingOf(settings) === undefined;
  const asked = all.samples.filter(({ label, split }) => fixed || (label >= 0 && split === 'train'));
  // Classes stand one after another: some hundreds of all of them tell enough.
  const every = fixed ? 1 : Math.max(1, Math.floor(asked.length / 500));
  const samples = asked.filter((_, i) => i % every === 0);
  await askOnce(teacher, samples, all, classes, report);
  assertBetterThanChance(teacher, all.samples, classes.length);
}

/** Probe, then whatever the mode asks for besides. */
async function* trainModel(context: RunContext): AsyncGenerator<RunEvent, TrainedModel, undefined> {
  const { engine, images, run, settings } = context;
  const { selection } = images.split;
  const learn = indexesOf(images.evaluation, images.split.train);
  const select = 'samples' in selection ? indexesOf(images.evaluation, selection.samples) : [];
  let model = context.model;
  let probe: { result: ProbeResult; heldOut: TrainedModel['heldOut'] } | undefined;
  // Linear probing before fine-tuning keeps the pretrained features from being spoiled by a random
  // head (Kumar et al. 2022, LP-FT).
  if (settings.mode === 'probe' || (settings.mode === 'finetune' && settings.headFirst === undefined)) {
    yield { type: 'phase', name: 'probe' };
    probe = yield* probeHead(context, learn, select);
    model = withHead(model, probe.result.head);
    if (settings.mode === 'probe') return { model, epoch: 0, heldOut: probe.heldOut };
  }

  const fixed = yield* chooseAutomatically({
    ...context,
    model,
    learn: images.training ? indexesOf(images.training, images.split.train) : learn,
  });
  const inTraining = (evaluationIndexes: readonly number[]): number[] =>
    images.training === undefined
      ? [...evaluationIndexes]
      : indexesOf(
          images.training,
          evaluationIndexes.map((index) => images.evaluation.samples[index]!),
        );
  const heldOutOf = async (candidate: Model, indexes: readonly number[]): Promise<Float32Array> => {
    const classifier = await classifierOf(engine, { ...candidate, temperature: 1 });
    try {
      return (await runClassifier(classifier, images.evaluation, { subset: indexes })).logits;
    } finally {
      await classifier.close();
    }
  };

  let folded: TrainedModel['heldOut'] | undefined;
  if (selection.kind === 'folds') {
    folded = yield* crossValidate({ ...context, model, settings: fixed }, probe?.result, inTraining, heldOutOf);
  }
  const log = await createLogger(run);
  const trained = yield* trainSupervised({
    ...context,
    model,
    settings: fixed,
    learnFrom: inTraining(learn),
    selectOn: select,
    run,
    log,
  });
  const heldOut = folded ?? { indexes: select, logits: await heldOutOf(trained.model, select) };
  return { ...trained, heldOut };
}

/**
 * Solves the head on features computed once. Held-out images are the selection images, or every
 * fold in turn.
 */
export async function* probeHead(
  { engine, model, images, run, settings }: RunContext,
  learn: readonly number[],
  select: readonly number[],
): AsyncGenerator<RunEvent, { result: ProbeResult; heldOut: TrainedModel['heldOut'] }, undefined> {
  const { selection } = images.split;
  const used = [...learn, ...select];
  const { features, size } = yield* reporting('features', 'images', (report) =>
    extractFeatures(engine, model, images.evaluation, used, report),
  );
  const classes = images.dataset.classes.length;
  const labels = used.map((index) => images.evaluation.samples[index]!.label);
  const place = new Map(used.map((index, i) => [index, i]));
  const folds =
    selection.kind === 'folds'
      ? selection.folds.map((fold) => indexesOf(images.evaluation, fold.selection).map((index) => place.get(index)!))
      : select.length > 0
        ? [select.map((index) => place.get(index)!)]
        : [];
  // val is for choosing, not for learning. Images held out of train come back once the penalty is
  // chosen, unless fine-tuning still needs them.
  const refit = selection.kind === 'holdout' && settings.mode === 'probe' ? used : learn;
  const result = await fitProbe(
    engine,
    { features, size, labels, classes },
    folds,
    refit.map((_, i) => i),
  );
  await run.log({ type: 'probe', l2: result.l2 });
  return { result, heldOut: { logits: result.heldOut.logits, indexes: result.heldOut.indexes.map((i) => used[i]!) } };
}

export function withHead(model: Model, head: LinearHead): Model {
  const { featureCount, classes } = model.head!;
  return setHead(model, float32([classes, featureCount], head.weight), float32([classes], head.bias));
}

/**
 * Trains once per fold and predicts what each left out: an honest estimate, and logits to calibrate
 * on, when labels are few.
 */
async function* crossValidate(
  context: RunContext & { readonly settings: FixedSettings },
  probe: ProbeResult | undefined,
  inTraining: (indexes: readonly number[]) => number[],
  heldOutOf: (model: Model, indexes: readonly number[]) => Promise<Float32Array>,
): AsyncGenerator<RunEvent, TrainedModel['heldOut'], undefined> {
  const { images, model, run, settings } = context;
  const { selection } = images.split;
  if (selection.kind !== 'folds') throw new Error('crossValidate needs folds');
  const classes = images.dataset.classes.length;
  const logits: number[] = [],
    indexes: number[] = [];
  const state = (await run.readJson<number[][]>('folds.json')) ?? [];
  for (const [k, fold] of selection.folds.entries()) {
    const left = indexesOf(images.evaluation, fold.selection);
    let outputs = state[k];
    if (!outputs) {
      yield { type: 'phase', name: `fold ${k + 1} of ${selection.folds.length}` };
      const { run: _, ...rest } = context;
      const { model: trained } = yield* trainSupervised({
        ...rest,
        settings:
          settings.minutes === undefined
            ? settings
            : { ...settings, minutes: settings.minutes / (selection.folds.length + 1) },
        model: probe ? withHead(model, probe.foldHeads[k]!) : model,
        learnFrom: inTraining(indexesOf(images.evaluation, fold.train)),
        selectOn: [],
      });
      outputs = state[k] = [...(await heldOutOf(trained, left))];
      await run.write('folds.json', JSON.stringify(state));
    }
    indexes.push(...left);
    logits.push(...outputs);
    const row = Float32Array.from(outputs);
    const right = left.filter(
      (index, i) => argmax(row, i * classes, classes) === images.evaluation.samples[index]!.label,
    ).length;
    await run.log({ type: 'fold', fold: k + 1, top1: right / left.length });
  }
  return { logits: Float32Array.from(logits), indexes };
}
