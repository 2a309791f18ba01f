import { rm } from 'node:fs/promises';
import { trainingIn } from '../artifact/run.js';
import { runFiles } from '../artifact/run-files.js';
import type { Engine } from '../engine/engine.js';
import { run as runClassifier } from '../evaluate/evaluate.js';
import { classifierOf } from '../evaluate/load.js';
import { argmax } from '../evaluate/metrics.js';
import type { Model } from '../models/model.js';
import type { ProbeResult } from '../techniques/probe.js';
import { chooseAutomatically } from './automatic.js';
import { consensusHead } from './consensus-head.js';
import type { RunContext, TrainedModel } from './context.js';
import { trainInPhases } from './descent.js';
import type { RunEvent } from './events.js';
import { indexesOf, inTraining, type RunImages } from './images.js';
import { createLogger } from './logger.js';
import type { FixedSettings } from './phases.js';
import { withHead } from '../techniques/solved-head.js';
import { probeHead } from './probe-head.js';

/** Trains the last layer alone, then whatever the mode asks for besides. */
export async function* trainModel(context: RunContext): AsyncGenerator<RunEvent, TrainedModel, undefined> {
  const { engine, images, run, settings } = context;
  const { selection } = images.split;
  const learn = indexesOf(images.evaluation, images.split.train);
  const select = 'samples' in selection ? indexesOf(images.evaluation, selection.samples) : [];
  if (settings.mode === 'consensus') {
    yield { type: 'phase', name: 'consensus' };
    return yield* consensusHead(context, learn, select);
  }
  let model = context.model;
  let probe: { result: ProbeResult; heldOut: TrainedModel['heldOut'] } | undefined;
  // Linear probing before fine-tuning keeps the pretrained features from being spoiled by a random
  // head (Kumar et al. 2022, LP-FT).
  if (settings.mode === 'probe' || (settings.mode === 'finetune' && settings.headFirst === undefined)) {
    yield { type: 'phase', name: 'probe' };
    probe = yield* probeHead(context, learn, select);
    model = withHead(model, probe.result.head);
    if (settings.mode === 'probe') return { model, epoch: 1, heldOut: probe.heldOut };
  }
  const learnFrom = inTraining(images, learn);
  const chosen = yield* chooseAutomatically({
    ...context,
    model,
    learn: images.training ? indexesOf(images.training, images.split.train) : learn,
  });
  // The time given is that of all trainings: one for each fold, and one on everything.
  const trainings = selection.kind === 'folds' ? selection.folds.length + 1 : 1;
  const fixed = { ...chosen, minutes: chosen.minutes && chosen.minutes / trainings };
  const folded =
    selection.kind === 'folds'
      ? yield* crossValidate({ ...context, model, settings: fixed }, probe?.result)
      : undefined;
  if (folded) {
    const name = 'all labels';
    yield { type: 'phase', name, training: { name, index: trainings - 1, count: trainings } };
  }
  const trained = yield* trainInPhases({
    ...context,
    model,
    settings: fixed,
    learnFrom,
    selectOn: select,
    log: await createLogger(run),
  });
  const heldOut = folded ?? { indexes: select, logits: await logitsOf(engine, trained.model, images, select) };
  return { ...trained, heldOut };
}

/** What a model says of images: indexes into those for evaluation. */
async function logitsOf(
  engine: Engine,
  model: Model,
  { evaluation }: RunImages,
  indexes: readonly number[],
): Promise<Float32Array> {
  const classifier = await classifierOf(engine, { ...model, temperature: 1 });
  try {
    return (await runClassifier(classifier, evaluation, { subset: indexes })).logits;
  } finally {
    await classifier.close();
  }
}

/**
 * Trains once per fold and predicts what each left out: an honest estimate, and logits to calibrate
 * on, when labels are few. A fold that was interrupted goes on from its own checkpoint.
 */
async function* crossValidate(
  context: RunContext & { readonly settings: FixedSettings },
  probe: ProbeResult | undefined,
): AsyncGenerator<RunEvent, TrainedModel['heldOut'], undefined> {
  const { engine, images, model, run, settings } = context;
  const { selection } = images.split;
  if (selection.kind !== 'folds') throw new Error('crossValidate needs folds');
  const classes = images.dataset.classes.length;
  const logits: number[] = [],
    indexes: number[] = [];
  const finished = [...((await runFiles.folds.read(run.path)) ?? [])];
  for (const [k, fold] of selection.folds.entries()) {
    const left = indexesOf(images.evaluation, fold.selection);
    let outputs = finished[k];
    if (!outputs) {
      const name = `fold ${k + 1} of ${selection.folds.length}`;
      yield { type: 'phase', name, training: { name, index: k, count: selection.folds.length + 1 } };
      const part = `fold-${k + 1}`,
        training = trainingIn(run, part);
      const { model: trained } = yield* trainInPhases({
        ...context,
        run: training,
        time: undefined,
        part,
        settings: { ...settings, preview: false },
        model: probe ? withHead(model, probe.foldHeads[k]!) : model,
        learnFrom: inTraining(images, indexesOf(images.evaluation, fold.train)),
        selectOn: [],
      });
      outputs = finished[k] = [...(await logitsOf(engine, trained, images, left))];
      await runFiles.folds.write(run.path, finished);
      await rm(training.checkpoints, { recursive: true, force: true });
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
