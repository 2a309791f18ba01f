import { performance } from 'node:perf_hooks';
import { hasCheckpoint } from '../artifact/checkpoint.js';
import { createEventLog, type EventLog } from '../artifact/tensorboard.js';
import { exportModel } from '../artifact/export.js';
import { assertFree, createRun, openRun, type Run } from '../artifact/run.js';
import { createPool } from '../data/pool.js';
import type { Dataset } from '../data/sample.js';
import { createEngine } from '../engine/index.js';
import type { Engine } from '../engine/engine.js';
import { PupilError } from '../errors.js';
import { classifierOf } from '../evaluate/load.js';
import { decodeSample, run as runClassifier, summarise, type Evaluation } from '../evaluate/evaluate.js';
import { argmax, fitTemperature, measure, softmax } from '../evaluate/metrics.js';
import { setHead } from '../models/head.js';
import { resolveModel } from '../models/index.js';
import { isNormalisationFolded, type Model } from '../models/model.js';
import { writeReport } from '../report/report.js';
import { float32 } from '../tensor.js';
import { version } from '../version.js';
import { chooseAutomatically } from './automatic.js';
import { relaying, reporting, type RunEvent, type TrainResult } from './events.js';
import { extractFeatures } from './features.js';
import { indexesOf, openImages, prepareRunImages, type RunImages } from './images.js';
import { fitProbe, type LinearHead, type ProbeResult } from './probe.js';
import { resolveSettings, type Settings, type TrainOptions } from './settings.js';
import type { FixedSettings } from './phases.js';
import { trainSupervised } from './supervised.js';

/** What `run.json` holds. */
interface RunConfig {
  readonly command: 'train';
  readonly settings: Settings;
  readonly classes: readonly string[];
  readonly dataHash: string;
  readonly architecture: string;
  readonly versions: Readonly<Record<string, string>>;
  readonly engine: string;
}

/**
 * Trains a classifier on a folder, tar or manifest of labelled images (or an opened data set), and yields what happens; the last event is
 * `result`. `mode: 'probe'` solves a head on the frozen backbone, `finetune` trains everything, `scratch` a built-in network.
 * The run folder holds `model.onnx`, metrics, checkpoints and a report. Throws PupilErrors: `usage`, `bad-data`, `not-found`,
 * `diverged`, `interrupted` (the state was saved)...
 *
 * @example
 * for await (const event of train('photos', { model: 'backbone.onnx', mode: 'probe' })) {
 *   if (event.type === 'result') console.log(event.result.val.top1, event.result.model);
 * }
 */
export async function* train(data: string | Dataset | undefined, options: TrainOptions = {}): AsyncGenerator<RunEvent, TrainResult, undefined> {
  const started = performance.now();
  const resumed = options.resume === undefined ? undefined : await openRun(options.resume);
  const saved = resumed?.config as RunConfig | undefined;
  if (saved && saved.command !== 'train') throw new PupilError('usage', `--resume ${options.resume!}: it is no training run`);
  const source = data ?? saved?.settings.data;
  if (!resumed && options.out !== undefined) await assertFree(options.out);
  if (source === undefined) throw new PupilError('usage', 'no data: give a folder with one subfolder per class, or --resume RUN');

  const wanted: TrainOptions = saved ? saved.settings : options;
  const dataset = await openImages(source, { unlabelled: wanted.unlabelled ?? [], reportOn: wanted.reportOn });
  if (saved && saved.dataHash !== dataset.hash) {
    throw new PupilError('bad-data', `--resume ${options.resume!}: the images in ${dataset.path} changed since the run began; restore them, or start a new run`);
  }
  const model = yield* chooseModel(dataset, wanted);
  const settings = saved?.settings ?? resolveSettings(typeof data === 'string' ? data : undefined, wanted, isNormalisationFolded(model.graph));
  const pool = createPool({
    ...(options.workers !== undefined && { workers: options.workers }),
    ...(options.cacheMemory !== undefined && { memory: options.cacheMemory * 2 ** 20 }),
  });
  let engine: Engine | undefined;
  try {
    // Without a checkpoint the run begins again; what it logged before would stand there twice.
    if (resumed && !(await hasCheckpoint(resumed.checkpoints))) await resumed.truncateMetrics(0);
    const choices = await resumed?.readJson<Record<string, unknown>>('choices.json');
    engine = await createEngine(settings.engine, { ...(settings.threads !== undefined && { threads: settings.threads }), ...(choices && { choices }) });
    const images = yield* prepareRunImages(dataset, settings, model.preprocessing, pool, settings.augment !== 'none', options.signal);
    const config: RunConfig = {
      command: 'train', settings, classes: dataset.classes, dataHash: dataset.hash, architecture: model.architecture,
      versions: { pupil: version, node: process.version }, engine: engine.description,
    };
    const run = resumed ?? await createRun(options.out, settings.mode, { ...config });
    yield { type: 'plan', run: run.path, lines: describePlan(config, images, model) };

    const trained = yield* trainModel({ engine, model, images, settings, run, ...(options.signal && { signal: options.signal }) });
    const result = yield* finish({ engine, images, settings, run, config, trained, started });
    yield { type: 'result', result };
    return result;
  } catch (error) {
    if (options.signal?.aborted && !(error instanceof PupilError)) {
      throw new PupilError('interrupted', 'interrupted outside the training steps; what was saved before is kept', { cause: error });
    }
    throw error;
  } finally {
    await engine?.close();
    await pool.close();
  }
}

/** The model to train, with a head for the classes. Says what is downloaded before it is. */
function chooseModel(dataset: Dataset, options: TrainOptions): AsyncGenerator<RunEvent, Model, undefined> {
  const scratch = options.mode === 'scratch';
  return relaying(async (emit) => {
    const { DEFAULT_MODEL, formatRemote } = await import('../models/hub.js');
    const model = await resolveModel(options.model ?? (scratch ? 'resnet18' : DEFAULT_MODEL), {
      labels: dataset.classes, seed: options.seed ?? 0, purpose: scratch ? 'scratch' : 'pretrained',
      warn: (message) => emit({ type: 'warning', message }),
      ...(options.normalize !== undefined && { normalize: options.normalize }),
      ...(options.size !== undefined && { size: options.size }),
      ...(options.head !== undefined && { head: options.head }),
      hub: {
        announce: (remote) => emit({ type: 'note', message: `downloading ${formatRemote(remote)}` }),
        progress: ({ file, received, total }) => emit({
          type: 'progress', what: `downloading ${file}`, unit: 'MB', done: Math.floor(received / 1e6), total: Math.ceil(total / 1e6),
        }),
        ...(options.signal && { signal: options.signal }),
      },
    });
    return scratch ? model : { ...model, labels: dataset.classes };
  });
}

function describePlan(config: RunConfig, { split, dataset }: RunImages, model: Model): string[] {
  const { settings } = config;
  const { selection, report } = split;
  const selects = selection.kind === 'folds' ? `${selection.folds.length}-fold over the training labels`
    : selection.kind === 'none' ? 'nothing (too few labels)'
      : `${selection.samples.length} images ${selection.kind === 'val' ? 'in val' : 'held out of train'}`;
  const rates = settings.mode === 'probe' ? 'the head is solved to its optimum on fixed features'
    : `${settings.epochs} epochs, batch ${settings.batchSize}, ${settings.optimizer}, learning rate ${settings.lr}${model.pretrained && settings.backboneLr !== undefined ? ` (pretrained part ${Number(settings.backboneLr.toPrecision(3))})` : ''}, ${settings.schedule}, augmentation ${settings.augment}`;
  return [
    `data       ${dataset.path}: ${split.train.length} labelled images of ${dataset.classes.length} classes to learn from${split.unlabelled.length > 0 ? `, ${split.unlabelled.length} unlabelled` : ''}`,
    `selection  ${selects}${report ? `; report on ${report.samples.length} images in ${report.split}` : ''}`,
    `model      ${model.architecture}, ${settings.mode}: ${rates}`,
    `engine     ${config.engine}`,
  ];
}

interface TrainContext {
  readonly engine: Engine;
  readonly model: Model;
  readonly images: RunImages;
  readonly settings: Settings;
  readonly run: Run;
  readonly signal?: AbortSignal;
}

interface TrainedModel {
  readonly model: Model;
  readonly epoch: number;
  /** Logits of images that the model (or, with folds, its like) did not learn from, and which images: indexes into `images.evaluation`. */
  readonly heldOut: { readonly logits: Float32Array; readonly indexes: readonly number[] };
}

/** Probe, then whatever the mode asks for besides. */
async function* trainModel(context: TrainContext): AsyncGenerator<RunEvent, TrainedModel, undefined> {
  const { engine, images, run, settings } = context;
  const { selection } = images.split;
  const learn = indexesOf(images.evaluation, images.split.train);
  const select = 'samples' in selection ? indexesOf(images.evaluation, selection.samples) : [];
  let model = context.model;
  let probe: { result: ProbeResult; heldOut: TrainedModel['heldOut'] } | undefined;
  // Linear probing before fine-tuning keeps the pretrained features from being spoiled by a random head (Kumar et al. 2022, LP-FT).
  if (settings.mode === 'probe' || (settings.mode === 'finetune' && settings.headFirst === undefined)) {
    yield { type: 'phase', name: 'probe' };
    probe = yield* probeHead(context, learn, select);
    model = withHead(model, probe.result.head);
    if (settings.mode === 'probe') return { model, epoch: 0, heldOut: probe.heldOut };
  }

  const fixed = yield* chooseAutomatically({ ...context, model, learn: images.training ? indexesOf(images.training, images.split.train) : learn });
  const inTraining = (evaluationIndexes: readonly number[]): number[] => images.training === undefined ? [...evaluationIndexes]
    : indexesOf(images.training, evaluationIndexes.map((index) => images.evaluation.samples[index]!));
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
    ...context, model, settings: fixed, learnFrom: inTraining(learn), selectOn: select, run, log,
  });
  const heldOut = folded ?? { indexes: select, logits: await heldOutOf(trained.model, select) };
  return { ...trained, heldOut };
}

/** Solves the head on features computed once. Held-out images are the selection images, or every fold in turn. */
async function* probeHead(
  { engine, model, images, run, settings }: TrainContext, learn: readonly number[], select: readonly number[],
): AsyncGenerator<RunEvent, { result: ProbeResult; heldOut: TrainedModel['heldOut'] }, undefined> {
  const { selection } = images.split;
  const used = [...learn, ...select];
  const { features, size } = yield* reporting('features', 'images', (report) => extractFeatures(engine, model, images.evaluation, used, report));
  const classes = images.dataset.classes.length;
  const labels = used.map((index) => images.evaluation.samples[index]!.label);
  const place = new Map(used.map((index, i) => [index, i]));
  const folds = selection.kind === 'folds'
    ? selection.folds.map((fold) => indexesOf(images.evaluation, fold.selection).map((index) => place.get(index)!))
    : select.length > 0 ? [select.map((index) => place.get(index)!)] : [];
  // val is for choosing, not for learning. Images held out of train come back once the penalty is chosen, unless fine-tuning still needs them.
  const refit = selection.kind === 'holdout' && settings.mode === 'probe' ? used : learn;
  const result = await fitProbe(engine, { features, size, labels, classes }, folds, refit.map((_, i) => i));
  await run.log({ type: 'probe', l2: result.l2 });
  return { result, heldOut: { logits: result.heldOut.logits, indexes: result.heldOut.indexes.map((i) => used[i]!) } };
}

function withHead(model: Model, head: LinearHead): Model {
  const { featureCount, classes } = model.head!;
  return setHead(model, float32([classes, featureCount], head.weight), float32([classes], head.bias));
}

/** Trains once per fold and predicts what each left out: an honest estimate, and logits to calibrate on, when labels are few. */
async function* crossValidate(
  context: TrainContext & { readonly settings: FixedSettings }, probe: ProbeResult | undefined,
  inTraining: (indexes: readonly number[]) => number[], heldOutOf: (model: Model, indexes: readonly number[]) => Promise<Float32Array>,
): AsyncGenerator<RunEvent, TrainedModel['heldOut'], undefined> {
  const { images, model, run, settings } = context;
  const { selection } = images.split;
  if (selection.kind !== 'folds') throw new Error('crossValidate needs folds');
  const classes = images.dataset.classes.length;
  const logits: number[] = [], indexes: number[] = [];
  const state = await run.readJson<number[][]>('folds.json') ?? [];
  for (const [k, fold] of selection.folds.entries()) {
    const left = indexesOf(images.evaluation, fold.selection);
    let outputs = state[k];
    if (!outputs) {
      yield { type: 'phase', name: `fold ${k + 1} of ${selection.folds.length}` };
      const { run: _, ...rest } = context;
      const { model: trained } = yield* trainSupervised({
        ...rest, settings: settings.minutes === undefined ? settings : { ...settings, minutes: settings.minutes / (selection.folds.length + 1) },
        model: probe ? withHead(model, probe.foldHeads[k]!) : model,
        learnFrom: inTraining(indexesOf(images.evaluation, fold.train)), selectOn: [],
      });
      outputs = state[k] = [...await heldOutOf(trained, left)];
      await run.write('folds.json', JSON.stringify(state));
    }
    indexes.push(...left);
    logits.push(...outputs);
    const row = Float32Array.from(outputs);
    const right = left.filter((index, i) => argmax(row, i * classes, classes) === images.evaluation.samples[index]!.label).length;
    await run.log({ type: 'fold', fold: k + 1, top1: right / left.length });
  }
  return { logits: Float32Array.from(logits), indexes };
}

/** Writes metrics.jsonl and TensorBoard events. Times are left out of the former, so that equal runs have equal files. */
async function createLogger(run: Run): Promise<(event: RunEvent) => Promise<void>> {
  const board: EventLog = await createEventLog(run.path);
  return async (event) => {
    if (event.type === 'step') {
      const { type, epoch, step, loss, accuracy, learningRate } = event;
      await run.log({ type, epoch, step, loss, accuracy, learningRate });
      await board.scalars(step, { 'train/loss': loss, 'train/accuracy': accuracy, 'train/learning_rate': learningRate, 'train/images_per_second': event.imagesPerSecond });
    } else if (event.type === 'epoch') {
      const { type, epoch, step, loss, accuracy } = event;
      await run.log({ type, epoch, step, train: { loss, accuracy } });
    } else if (event.type === 'evaluation') {
      const { type, epoch, step, metrics } = event;
      await run.log({ type, epoch, step, selection: metrics });
      await board.scalars(step, { 'selection/top1': metrics['top1'] as number, 'selection/loss': metrics['loss'] as number });
    }
  };
}

/** Calibrates, exports, evaluates and reports. */
async function* finish({ engine, images, settings, run, config, trained, started }: Omit<TrainContext, 'model' | 'signal'> & {
  readonly config: RunConfig; readonly trained: TrainedModel; readonly started: number;
}): AsyncGenerator<RunEvent, TrainResult, undefined> {
  const { dataset, evaluation: prepared } = images;
  const { heldOut } = trained;
  const classes = dataset.classes.length;
  const labels = heldOut.indexes.map((index) => prepared.samples[index]!.label);
  const temperature = fitTemperature(heldOut.logits, labels, classes);
  const model: Model = { ...trained.model, labels: dataset.classes, temperature };
  const selected = measure(heldOut.logits, labels, dataset.classes, temperature);
  const uncalibrated = measure(heldOut.logits, labels, dataset.classes);

  const classifier = await classifierOf(engine, model);
  const evaluated = new Map<string, Evaluation>();
  try {
    for (const split of ['val', 'test'] as const) {
      const indexes = prepared.samples.flatMap((sample, i) => (sample.split === split ? [i] : []));
      if (indexes.length === 0) continue;
      const outputs = yield* reporting(`evaluating ${split}`, 'images', (report) =>
        runClassifier(classifier, prepared, { subset: indexes, onProgress: (done) => report(done, indexes.length) }));
      evaluated.set(split, summarise(classifier, indexes.map((index) => prepared.samples[index]!), outputs, dataset.unreadable));
    }
  } finally {
    await classifier.close();
  }
  const val = evaluated.get('val')?.metrics ?? selected;
  const test = evaluated.get('test')?.metrics;
  const seconds = (performance.now() - started) / 1000;
  const result: TrainResult = {
    run: run.path, model: run.file('model.onnx'),
    best: { epoch: trained.epoch, top1: selected.top1 },
    val, ...(test && { test }), seconds,
  };
  await run.write('model.onnx', exportModel(model, {
    technique: settings.mode, seed: settings.seed, dataHash: config.dataHash, versions: config.versions,
    metrics: { selection: brief(selected), ...(evaluated.has('val') && { val: brief(val) }), ...(test && { test: brief(test) }) },
  }));
  const reported = evaluated.get('test') ?? evaluated.get('val');
  const shown = reported ?? summarise(classifier, heldOut.indexes.map((index) => prepared.samples[index]!), { logits: heldOut.logits, probabilities: softmax(heldOut.logits, classes, temperature) });
  await run.write('evaluation.json', JSON.stringify({
    ...shown.metrics, split: evaluated.has('test') ? 'test' : evaluated.has('val') ? 'val' : 'held out of train',
    classes: dataset.classes, predictions: shown.images,
    calibration: { temperature, eceBefore: uncalibrated.ece, eceAfter: selected.ece },
  }) + '\n');
  await run.write('result.json', JSON.stringify(result, null, 2) + '\n');
  const sources = new Map(dataset.samples.map((sample) => [sample.path, sample]));
  await writeReport(run.path, {
    readImage: async (path) => {
      const sample = sources.get(path);
      return sample && decodeSample(sample).catch(() => undefined);
    },
  });
  return result;
}

const brief = ({ top1, loss, ece, count }: { top1: number; loss: number; ece: number; count: number }): object => ({ top1, loss, ece, count });
