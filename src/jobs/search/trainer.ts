/** How a search trains a cell, and on which images. */
import type { Measurement } from '../../artifact/formats.js';
import type { Run } from '../../artifact/run.js';
import type { Dataset } from '../../data/sample.js';
import type { Engine } from '../../engine/engine.js';
import { invariant, PupilError } from '../../errors.js';
import { run as runClassifier } from '../../evaluate/evaluate.js';
import { classifierOf } from '../../evaluate/load.js';
import { argmax, crossEntropy } from '../../evaluate/metrics.js';
import type { Model } from '../../models/model.js';
import { chooseAutomatically } from '../../runs/automatic.js';
import { chooseModel } from '../../runs/choose-model.js';
import type { RunContext } from '../../runs/context.js';
import { trainInPhases } from '../../runs/descent.js';
import type { RunEvent } from '../../runs/events.js';
import { indexesOf, inTraining, type RunImages } from '../../runs/images.js';
import type { FixedSettings } from '../../runs/phases.js';
import { probeHead } from '../../runs/probe-head.js';
import { withHead } from '../../techniques/solved-head.js';
import { resultOf, tap } from '../../runs/relay.js';
import type { Settings } from '../../runs/resolve.js';
import type { Cell } from './cells.js';
import type { Engines } from './engines.js';
import type { Training } from './halving.js';
import type { SearchSettings } from './settings.js';

/** What one seed learns from and is measured on: indexes into the images for evaluation. */
export interface Part {
  readonly learn: readonly number[];
  readonly select: readonly number[];
}

/**
 * One part for all seeds, or one for each fold when labels are few. Throws `bad-data` when nothing
 * can be held out.
 */
export function partsOf({ split: { train, selection }, evaluation, dataset }: RunImages): Part[] {
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

/** What a training gave. */
type Outcome = Pick<Measurement, 'top1' | 'loss' | 'right'>;

/** Trains one cell and measures it; undefined when `stop` said so in between. */
export type Trainer = (
  cell: Cell,
  training: Training,
  epochs: number,
  stop: () => boolean,
) => AsyncGenerator<RunEvent, Outcome | undefined, undefined>;

/** Ends a training in which the time of the search ran out. */
class TimeIsUp extends Error {}

/** What trainings are made from. */
interface TrainerOptions {
  readonly engines: Engines;
  readonly model: Model;
  readonly images: RunImages;
  readonly parts: readonly Part[];
  readonly settings: SearchSettings;
  readonly planned: Settings;
  readonly dataset: Dataset;
  readonly run: Run;
  readonly featureCache: string;
  readonly signal: AbortSignal;
}

/**
 * Makes what all trainings share: automatic choices, and the solved head that fine-tuning starts
 * from, as in `train`.
 */
export async function* createTrainer(options: TrainerOptions): AsyncGenerator<RunEvent, Trainer, undefined> {
  const { engines, model, images, parts, planned, run, featureCache, signal } = options;
  const engine = await engines.current();
  const silent = { ...run, log: async () => undefined };
  const context = { engine, model, images, settings: planned, run: silent, featureCache, signal };
  const headed = yield* solveHeads(context, parts);
  const fixed: FixedSettings = yield* chooseAutomatically({
    ...context,
    model: headed(model, 0),
    learn: inTraining(images, parts[0]!.learn),
  });
  const modelOf = modelsOf(options);

  return async function* train({ policy }, { seed }, epochs, stop) {
    const part = seed % parts.length;
    const { learn, select } = parts[part]!;
    const own: FixedSettings = { ...shortened(fixed, epochs), seed: fixed.seed + seed, augment: policy };
    const engine = await engines.current();
    const start = headed(await modelOf(seed), part);
    const events = trainInPhases({
      engine,
      model: start,
      images,
      learnFrom: inTraining(images, learn),
      selectOn: [],
      settings: own,
      signal,
    });
    try {
      const watched = tap(events, (event) => {
        if (event.type === 'step' && event.step < 0.9 * event.totalSteps && stop()) throw new TimeIsUp();
        return event;
      });
      const { model: trained } = yield* watched;
      return await measureModel(engine, trained, images, select);
    } catch (error) {
      if (error instanceof TimeIsUp) return undefined;
      if (!(error instanceof PupilError && error.code === 'diverged')) throw error;
      yield { type: 'warning', message: `${policy.name} diverged and counts as 0: ${error.message}` };
      await engines.close();
      return { top1: 0, loss: null, right: '0'.repeat(select.length) };
    }
  };
}

/**
 * Augmentation has no part in the head that is solved before fine-tuning, so one serves every cell:
 * gives a function that puts the head of a part on a model.
 */
async function* solveHeads(
  context: RunContext,
  parts: readonly Part[],
): AsyncGenerator<RunEvent, (model: Model, part: number) => Model, undefined> {
  const { images, settings } = context;
  if (settings.mode !== 'finetune' || settings.headFirst !== undefined) return (model) => model;
  const isFolded = images.split.selection.kind === 'folds';
  yield { type: 'phase', name: 'probe' };
  const learn = indexesOf(images.evaluation, images.split.train);
  const { result } = yield* probeHead(context, learn, isFolded ? [] : parts[0]!.select);
  return (model, part) => withHead(model, isFolded ? result.foldHeads[part]! : result.head);
}

/** The model that each seed starts from. */
function modelsOf({ model, dataset, settings, planned, signal }: TrainerOptions): (seed: number) => Promise<Model> {
  const models = new Map([[0, model]]);
  return async (seed) => {
    const known = models.get(seed);
    if (known) return known;
    // Its notes and warnings were told for the first seed.
    const own = { ...settings, augment: planned.augment, seed: planned.seed + seed, signal };
    const chosen = await resultOf(chooseModel(dataset, own));
    models.set(seed, chosen);
    return chosen;
  };
}

/** Settings for fewer epochs: a whole training of its own, its schedule shortened in all its parts. */
function shortened(settings: FixedSettings, epochs: number): FixedSettings {
  const share = epochs / settings.epochs;
  const shorter = (value: number | undefined): number | undefined => value && Math.max(1, Math.round(value * share));
  return {
    ...settings,
    epochs,
    warmup: settings.warmup * share,
    patience: undefined,
    minutes: undefined,
    headFirst: shorter(settings.headFirst),
    gradualUnfreeze: shorter(settings.gradualUnfreeze),
  };
}

/**
 * Accuracy, cross-entropy and right answers of the weights after the last epoch: those of the best epoch
 * would flatter cells that vary more.
 */
async function measureModel(
  engine: Engine,
  model: Model,
  { evaluation, dataset }: RunImages,
  select: readonly number[],
): Promise<Outcome> {
  const classifier = await classifierOf(engine, { ...model, labels: dataset.classes, temperature: 1 });
  try {
    const { logits } = await runClassifier(classifier, evaluation, { subset: select });
    const labels = select.map((index) => evaluation.samples[index]!.label),
      classes = dataset.classes.length;
    invariant(logits.length === labels.length * classes, 'a model answered for other images than it was asked');
    const loss = crossEntropy(logits, labels, classes);
    const right = labels.map((label, row) => Number(argmax(logits, row * classes, classes) === label));
    return {
      top1: right.reduce((sum, one) => sum + one, 0) / labels.length,
      right: right.join(''),
      loss: Number.isFinite(loss) ? loss : null,
    };
  } finally {
    await classifier.close();
  }
}
