/** What `train` of `pupil/web` does, on any engine: a probe, a consensus, or fine-tuning. */
import { trainPipeline, type PresetName } from '../augment/presets.js';
import { dealFolds, foldCount } from '../data/folds.js';
import { createEvaluationLoader, createLoader } from '../data/loader.js';
import { evaluationTarget, workingTarget } from '../data/target.js';
import type { Engine } from '../engine/engine.js';
import { PupilError } from '../errors.js';
import { argmax, fitTemperature, wilson } from '../evaluate/metrics.js';
import { earlierLayer } from '../models/cuts.js';
import { parameterGroups } from '../models/groups.js';
import { isNormalisationFolded, type Model, type Rejection } from '../models/model.js';
import { backboneFactor, common, modeRecipes } from '../options/recipes.js';
import { Random } from '../random.js';
import { consensus } from '../techniques/consensus.js';
import { featureBatch, fillRows, openExtractor, type Features } from '../techniques/features.js';
import { fitProbe } from '../techniques/probe.js';
import { predict, type LinearHead } from '../techniques/regression.js';
import { fitHeads, withHead } from '../techniques/solved-head.js';
import { fitRejection } from '../techniques/rejection.js';
import { tensor, type Tensor } from '../tensor.js';
import type { FitEvent, FitPosition } from '../train/events.js';
import { fit } from '../train/fit.js';
import { supervised, supervisedFeeds } from '../train/objective.js';
import { createSchedule } from '../train/schedules.js';
import { buildTrainingStep } from '../train/step.js';
import { contentOf, imagesAt, type LabelledImage } from './images.js';
import type { TrainingStore } from './store.js';

export type WebMode = 'probe' | 'consensus' | 'finetune';

export interface LearnSettings {
  readonly mode: WebMode;
  /** Passes through the labelled images when fine-tuning. */
  readonly epochs: number;
  readonly batchSize: number;
  /** Learning rate of the last layer. */
  readonly lr: number;
  /** Of the pretrained part; default: a fraction of `lr` that follows the number of images. */
  readonly backboneLr?: number | undefined;
  readonly augment: PresetName;
  readonly flip: boolean;
  /** Learn which images are of none of the classes, where there are enough labels. */
  readonly rejection: boolean;
  readonly seed: number;
}

/** Where a training keeps its state, and how often. */
export interface Keeping {
  readonly store: Pick<TrainingStore, 'read' | 'write'>;
  /** Seconds between two times. */
  readonly seconds: number;
}

/** The defaults of `pupil train`. */
export const usualSettings: Omit<LearnSettings, 'mode' | 'seed'> = {
  epochs: modeRecipes.finetune.epochs,
  batchSize: common.batchSize,
  lr: modeRecipes.finetune.lr,
  augment: modeRecipes.finetune.augment,
  flip: true,
  rejection: true,
};

export type LearnEvent =
  | {
      readonly type: 'progress';
      readonly task: 'features' | 'consensus';
      readonly done: number;
      readonly total: number;
    }
  | FitEvent;

/** An accuracy, with both ends of its 95% interval. */
export interface HeldOut {
  readonly top1: number;
  readonly low: number;
  readonly high: number;
  /** Images that it was measured on. */
  readonly count: number;
}

export interface Learned {
  readonly model: Model;
  /** Of the last layer alone, on labels that it was not told; undefined: none could be held out. */
  readonly heldOut: HeldOut | undefined;
}

/** What a training works with. */
export interface LearnContext {
  /**
   * What solves the last layer: hundreds of small steps, each of which waits for the one before, in full precision. No
   * work for a GPU. Default: the engine of the rest.
   */
  readonly solver?: Engine | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Without it nothing is kept. */
  readonly keeping?: Keeping | undefined;
}

/** The job of a training, in `engine`. `model` has a last layer for the classes. */
export async function* learn(
  engine: Engine,
  model: Model,
  images: readonly LabelledImage[],
  settings: LearnSettings,
  context: LearnContext = {},
): AsyncGenerator<LearnEvent, Learned, undefined> {
  const { signal, solver = engine } = context;
  const classes = model.head!.classes;
  const labels = images.map(({ label }) => label);
  const labelled = [...labels.keys()].filter((i) => labels[i]! >= 0);
  const used = settings.mode === 'consensus' ? [...labels.keys()] : labelled;
  const layers = yield* featuresOf(engine, model, { images, used, settings }, context);
  const problem = {
    layers,
    labels: used.map((i) => labels[i]!),
    contents: used.map((i) => contentOf(images[i]!.image)),
    classes,
    seed: settings.seed,
  };
  const solved =
    settings.mode === 'consensus' ? yield* byConsensus(solver, problem, signal) : await byProbe(solver, problem);
  const headed = { ...withHead(model, solved.head), temperature: solved.temperature };
  const heldOut = solved.heldOut;
  if (settings.mode !== 'finetune')
    return { model: { ...headed, rejection: settings.rejection ? rejectionOf(problem) : undefined }, heldOut };
  const taught = labelled.map((i) => images[i]!);
  // Nothing was held out from fine-tuning to calibrate it on.
  return { model: yield* finetune(engine, { ...headed, temperature: 1 }, taught, settings, context), heldOut };
}

/** Of a frozen network: from the labelled images themselves. */
function rejectionOf({ layers, labels, classes }: Problem): Rejection | undefined {
  const [{ size, features }] = layers as [Features];
  const labelled = [...labels.keys()].filter((i) => labels[i]! >= 0);
  const rows = new Float32Array(labelled.length * size);
  labelled.forEach((i, row) => rows.set(features.subarray(i * size, (i + 1) * size), row * size));
  return fitRejection({ features: rows, size, labels: labelled.map((i) => labels[i]!), classes });
}

async function* featuresOf(
  engine: Engine,
  model: Model,
  {
    images,
    used,
    settings,
  }: { readonly images: readonly LabelledImage[]; readonly used: readonly number[]; readonly settings: LearnSettings },
  { signal, keeping }: LearnContext,
): AsyncGenerator<LearnEvent, Features[], undefined> {
  const earlier = settings.mode === 'consensus' ? earlierLayer(model) : undefined;
  const extractor = await openExtractor(engine, model, earlier ? [earlier.name] : []);
  const layers = extractor.sizes.map((size) => ({ size, features: new Float32Array(used.length * size) }));
  const keep = openKept(keeping, layers);
  let done = await keep.restored();
  try {
    if (done === used.length) return layers;
    const seen = imagesAt(
      used.slice(done).map((i) => images[i]!),
      evaluationTarget(model.preprocessing),
    );
    const loader = createEvaluationLoader({ images: seen, classes: model.head!.classes, batchSize: featureBatch });
    for await (done of fillRows(extractor, loader, layers, { first: done })) {
      if (signal?.aborted) await keep.save(done);
      signal?.throwIfAborted();
      if (keep.isDue() || done === used.length) await keep.save(done);
      yield { type: 'progress', task: 'features', done, total: used.length };
    }
  } finally {
    await extractor.close();
  }
  return layers;
}

/** Features that were computed already, and those that are. */
function openKept(
  keeping: Keeping | undefined,
  layers: readonly Features[],
): { restored(): Promise<number>; isDue(): boolean; save(done: number): Promise<void> } {
  const file = 'features';
  let savedAt = performance.now();
  return {
    async restored() {
      const kept = await keeping?.store.read<{ readonly done: number }>(file);
      layers.forEach(({ features }, i) => {
        const data = kept?.tensors.get(String(i))?.data;
        if (data instanceof Float32Array) features.set(data.subarray(0, features.length));
      });
      return kept?.facts.done ?? 0;
    },
    isDue: () => keeping !== undefined && performance.now() - savedAt > keeping.seconds * 1000,
    async save(done) {
      const tensors = layers.map(({ size, features }, i): [string, Tensor] => [
        String(i),
        tensor('float32', [features.length / size, size], features),
      ]);
      await keeping?.store.write(file, { tensors: new Map(tensors), facts: { done } });
      savedAt = performance.now();
    },
  };
}

interface Problem {
  readonly layers: readonly Features[];
  /** -1: not known. */
  readonly labels: readonly number[];
  /** The same for copies of an image. */
  readonly contents: readonly string[];
  readonly classes: number;
  readonly seed: number;
}

interface Solved {
  readonly head: LinearHead;
  readonly temperature: number;
  readonly heldOut: Learned['heldOut'];
}

/** Labelled images by index, each held out once with its copies; those of a class with one content never are. */
function foldsOf({ labels, contents, classes, seed }: Problem): (readonly number[])[] {
  const groups = Array.from({ length: classes }, (_, c) => {
    const byContent = new Map<string, number[]>();
    for (const [i, label] of labels.entries())
      if (label === c) byContent.set(contents[i]!, [...(byContent.get(contents[i]!) ?? []), i]);
    return [...byContent]
      .map(([content, members]) => ({ key: new Random(seed, 'folds', content).uniform(), members }))
      .sort((a, b) => a.key - b.key);
  });
  return dealFolds(groups, foldCount(groups, common.folds));
}

async function byProbe(engine: Engine, problem: Problem): Promise<Solved> {
  const { labels, classes, layers } = problem;
  const { head, heldOut } = await fitProbe(engine, { ...layers[0]!, labels, classes }, foldsOf(problem), [
    ...labels.keys(),
  ]);
  return { head, ...measured(heldOut, problem) };
}

async function* byConsensus(
  engine: Engine,
  problem: Problem,
  signal: AbortSignal | undefined,
): AsyncGenerator<LearnEvent, Solved, undefined> {
  const { labels, classes, layers } = problem;
  const folds = foldsOf(problem);
  yield { type: 'progress', task: 'consensus', done: 0, total: 1 };
  const agreed = await consensus(engine, { networks: [layers], labels, classes }, folds, () =>
    signal?.throwIfAborted(),
  );
  const [last] = layers as [Features];
  const [head, ...foldHeads] = (await fitHeads(
    engine,
    last,
    [agreed.probabilities, ...agreed.folds],
    agreed.aside,
  )) as [LinearHead, ...LinearHead[]];
  const logits = folds.flatMap((fold, k) => [
    ...predict(last, foldHeads[k]!, fold, new Float32Array(fold.length * classes)),
  ]);
  yield { type: 'progress', task: 'consensus', done: 1, total: 1 };
  return { head, ...measured({ logits: Float32Array.from(logits), indexes: folds.flat() }, problem) };
}

/** How good logits of held-out images are, and the temperature that makes their confidences honest. */
function measured(
  { logits, indexes }: { readonly logits: Float32Array; readonly indexes: readonly number[] },
  { labels, contents, classes }: Problem,
): Omit<Solved, 'head'> {
  const truths = indexes.map((i) => labels[i]!),
    temperature = fitTemperature(logits, truths, classes);
  if (truths.length === 0) return { temperature, heldOut: undefined };
  const right = truths.filter((label, row) => argmax(logits, row * classes, classes) === label).length,
    top1 = right / truths.length;
  // Copies tell nothing new.
  const [low, high] = wilson(top1, new Set(indexes.map((i) => contents[i])).size);
  return { temperature, heldOut: { top1, low, high, count: truths.length } };
}

/** Everything trains, a small learning rate in the pretrained part. The last layer should be solved already. */
export async function* finetune(
  engine: Engine,
  model: Model,
  images: readonly LabelledImage[],
  settings: LearnSettings,
  { signal, keeping }: LearnContext = {},
): AsyncGenerator<LearnEvent, Model, undefined> {
  const { lr, seed, epochs } = settings;
  const { preprocessing } = model;
  const batchSize = Math.min(settings.batchSize, images.length);
  const backboneLr = settings.backboneLr ?? lr * backboneFactor(isNormalisationFolded(model.graph), images.length);
  const loader = createLoader({
    images: imagesAt(images, workingTarget(preprocessing)),
    classes: model.head!.classes,
    batchSize,
    size: preprocessing.size,
    pipeline: trainPipeline(settings.augment, preprocessing, { flip: settings.flip }),
    seed,
    dropLast: true,
  });
  const step = buildTrainingStep(model, {
    batchSize,
    groups: parameterGroups(model, { lr, backboneLr, weightDecay: modeRecipes.finetune.weightDecay }),
    seed,
    optimizer: { name: modeRecipes.finetune.optimizer },
    objective: supervised({ labelSmoothing: modeRecipes.finetune.labelSmoothing }),
    batchNormalization: 'train',
  });
  const { stepsPerEpoch } = loader;
  const checkpoint = 'checkpoint';
  const kept = await keeping?.store.read<FitPosition>(checkpoint);
  const position = yield* fit({
    engine,
    step,
    epochs,
    learningRate: lr,
    schedule: createSchedule(common.schedule, { warmUpSteps: modeRecipes.finetune.warmup * stepsPerEpoch }),
    signal,
    state: kept?.tensors,
    resume: kept?.facts,
    save:
      keeping &&
      (async (snapshot) => {
        await keeping.store.write(checkpoint, { tensors: snapshot.tensors, facts: snapshot.position });
        return checkpoint;
      }),
    checkpointSeconds: keeping?.seconds,
    source: {
      stepsPerEpoch,
      async *batches(epoch, start) {
        for await (const batch of loader.batches(epoch, start))
          yield { feeds: supervisedFeeds(batch), files: batch.paths };
      },
    },
  });
  if (position.step === 0)
    throw new PupilError('usage', 'nothing was trained; give one epoch or more', { option: 'epochs' });
  const trained = await engine.read([...model.parameters.keys()].filter((name) => step.initialState.has(name)));
  await engine.remove([...step.initialState.keys()]);
  return { ...model, parameters: new Map([...model.parameters, ...trained]), pretrained: true };
}
