import { exportModel } from '../artifact/export.js';
import type { AlikeFile, AlikeImage, LearnedFile, Metrics } from '../artifact/formats.js';
import { runFiles } from '../artifact/run-files.js';
import type { PreparedImages } from '../data/prepare.js';
import { sharedGroups, type Sample } from '../data/sample.js';
import {
  run as runClassifier,
  originsOf,
  summarise,
  withOrigins,
  type Evaluation,
  type Outputs,
} from '../evaluate/evaluate.js';
import { classifierOf } from '../evaluate/load.js';
import { argmax, crossEntropy, effectiveCount, fitTemperature, measure, softmax } from '../evaluate/metrics.js';
import { imageReader } from '../evaluate/readers.js';
import type { Model } from '../models/model.js';
import { writeReport } from '../report/report.js';
import { isFrozen } from '../options/option.js';
import { defaultTechnique } from '../techniques/index.js';
import { featuresOf } from '../techniques/stored-features.js';
import type { RunContext, TrainedModel } from './context.js';
import type { RunEvent, TrainResult } from './events.js';
import { earlierLayers } from './features.js';
import { outputsOn } from './frozen.js';
import type { RunImages } from './images.js';
import { learnRejection } from './rejection.js';
import { reporting } from './relay.js';
import type { WorkTime } from './work-time.js';

/** A trained model, and the images that it did not learn from. */
interface Calibrated {
  readonly model: Model;
  readonly heldOut: TrainedModel['heldOut'];
  readonly labels: readonly number[];
  /** On those images, after and before calibration. */
  readonly selected: Metrics;
  readonly uncalibrated: Metrics;
}

/** Calibrates, evaluates, exports and reports. */
export async function* finish({
  worked,
  trained,
  ...context
}: Omit<RunContext, 'model'> & {
  readonly trained: TrainedModel;
  readonly worked: WorkTime;
}): AsyncGenerator<RunEvent, TrainResult, undefined> {
  const { images, run, signal } = context;
  signal?.throwIfAborted();
  const rejection = yield* learnRejection(context, trained);
  const calibrated = await calibrate({ ...trained, model: { ...trained.model, rejection } }, context);
  const { labels, selected } = calibrated;
  const evaluated = yield* evaluateSplits(context, calibrated.model);
  const result: TrainResult = {
    run: run.path,
    model: runFiles.model.in(run.path),
    best: { epoch: trained.epoch, top1: labels.length > 0 ? selected.top1 : undefined },
    val: evaluated.val?.metrics ?? (labels.length > 0 ? selected : undefined),
    test: evaluated.test?.metrics,
    completed: trained.completed,
    // A run that was complete took what it took.
    seconds: (await runFiles.result.read(run.path))?.seconds ?? worked.seconds(),
  };
  await writeModel(calibrated, evaluated, context);
  await writeEvaluation(calibrated, evaluated, context);
  await runFiles.learned.write(run.path, learnedFrom(images));
  if (images.alike.length > 0) await runFiles.alike.write(run.path, alikeOf(images));
  await writeReport(run.path, {
    readImage: imageReader(images.dataset, images.evaluation.pool),
    seconds: result.seconds,
  });
  // Last: a run with a result is complete.
  await runFiles.result.write(run.path, result);
  await worked.drop(run.path);
  return result;
}

/** Pairs that a report can show. */
const mostPairs = 100;

function alikeOf({ alike, dataset }: RunImages): AlikeFile {
  const image = ({ path, split, label }: Sample): AlikeImage => ({ path, split, label: dataset.classes[label] });
  const pairs = alike
    .slice(0, mostPairs)
    .map(({ first, second, samePixels }) => ({ first: image(first), second: image(second), samePixels }));
  return { count: alike.length, pairs };
}

/** Images that were held out for folds have been learned in the end. */
function learnedFrom({ split, unlabelled, evaluation }: RunImages): LearnedFile {
  const { fingerprints } = evaluation.pool;
  const hashes = (samples: readonly Sample[]): string[] => samples.map(({ hash }) => hash);
  const labelled = hashes(split.train),
    others = unlabelled.length > 0 ? hashes(split.unlabelled) : [];
  const pixels = [...labelled, ...others].flatMap((hash) => fingerprints.get(hash)?.pixels ?? []);
  return { labelled, unlabelled: others, pixels };
}

async function calibrate(
  trained: TrainedModel,
  { settings, images }: Pick<RunContext, 'settings' | 'images'>,
): Promise<Calibrated> {
  const { dataset, evaluation } = images;
  const { calibrateOn } = settings;
  const heldOut = calibrateOn === undefined ? trained.heldOut : await readHeldOut(calibrateOn, evaluation);
  const samples = heldOut.indexes.map((index) => evaluation.samples[index]!);
  const labels = samples.map(({ label }) => label);
  const independent = effectiveCount(sharedGroups(samples));
  const temperature = fitTemperature(heldOut.logits, labels, dataset.classes.length, independent);
  return {
    model: { ...trained.model, labels: dataset.classes, temperature },
    heldOut,
    labels,
    selected: withOrigins(
      measure(heldOut.logits, labels, dataset.classes, temperature),
      originsOf(samples, heldOut.logits),
    ),
    uncalibrated: measure(heldOut.logits, labels, dataset.classes),
  };
}

/** What runs said of the images that they held out, as one. */
async function readHeldOut(runs: readonly string[], images: PreparedImages): Promise<TrainedModel['heldOut']> {
  const files = await Promise.all(runs.map((run) => runFiles.selection.read(run)));
  const said = new Map(files.flatMap((file) => (file?.images ?? []).map(({ path, logits }) => [path, logits])));
  const indexes = images.samples.flatMap(({ path, split }, i) => (split === 'train' && said.has(path) ? [i] : []));
  return { indexes, logits: Float32Array.from(indexes.flatMap((index) => said.get(images.samples[index]!.path)!)) };
}

/** Of each of these splits, where there is one. */
type Evaluations = Partial<Record<'val' | 'test', Evaluation>>;

async function* evaluateSplits(
  context: Omit<RunContext, 'model'>,
  model: Model,
): AsyncGenerator<RunEvent, Evaluations, undefined> {
  const { dataset, evaluation } = context.images;
  const outputsOf = isFrozen(context.settings.mode) && model.head ? outputsOfFrozen : outputsOfAll;
  const evaluated: Evaluations = {};
  for (const split of ['val', 'test'] as const) {
    const subset = evaluation.samples.flatMap((sample, i) => (sample.split === split ? [i] : []));
    if (subset.length === 0) continue;
    const outputs = yield* reporting(`evaluating ${split}`, 'images', (report) =>
      outputsOf(context, model, subset, (done) => {
        context.signal?.throwIfAborted();
        report(done, subset.length);
      }),
    );
    const samples = subset.map((index) => evaluation.samples[index]!);
    const refusing = { labels: dataset.classes, outlierThreshold: model.rejection?.threshold };
    evaluated[split] = summarise(refusing, samples, outputs, dataset.unreadable);
  }
  return evaluated;
}

type OutputsOf = (
  context: Omit<RunContext, 'model'>,
  model: Model,
  subset: readonly number[],
  onProgress: (done: number) => void,
) => Promise<Outputs>;

/** The whole network looks at the images. */
const outputsOfAll: OutputsOf = async ({ engine, images }, model, subset, onProgress) => {
  const classifier = await classifierOf(engine, model);
  try {
    return await runClassifier(classifier, images.evaluation, { subset, onProgress });
  } finally {
    await classifier.close();
  }
};

/** A backbone that no training changed looks at each image once, whatever heads it has. */
const outputsOfFrozen: OutputsOf = async ({ engine, images, featureCache, signal }, model, subset, onProgress) => {
  const [seen] = await featuresOf(engine, model, {
    images: images.evaluation,
    subset,
    earlier: earlierLayers(model),
    cache: featureCache,
    onProgress,
    signal,
  });
  return outputsOn(engine, model, seen!);
};

function writeModel(
  { model, labels, selected }: Calibrated,
  { val, test }: Evaluations,
  { run, settings }: Pick<RunContext, 'run' | 'settings'>,
): Promise<void> {
  const brief = ({ top1, loss, ece, count, independent, accepted, drawn }: Metrics): object => {
    return { top1, loss, ece, count, independent, accepted, drawn };
  };
  const bytes = exportModel(model, {
    technique: settings.technique === defaultTechnique ? settings.mode : settings.technique,
    mode: settings.mode,
    seed: settings.seed,
    dataHash: run.config.dataHash!,
    versions: run.config.versions,
    metrics: {
      selection: labels.length > 0 ? brief(selected) : undefined,
      val: val && brief(val.metrics),
      test: test && brief(test.metrics),
    },
  });
  return runFiles.model.write(run.path, bytes);
}

/**
 * Writes `evaluation.json` where anything was measured, and `selection.json`, which later trainings
 * are compared with.
 */
async function writeEvaluation(
  { model, heldOut, labels, selected, uncalibrated }: Calibrated,
  { val, test }: Evaluations,
  { run, images }: Pick<RunContext, 'run' | 'images'>,
): Promise<void> {
  const { classes } = images.dataset,
    { logits } = heldOut;
  const { temperature } = model;
  const samples = heldOut.indexes.map((index) => images.evaluation.samples[index]!);
  const shown =
    test ??
    val ??
    summarise({ labels: classes }, samples, {
      logits,
      probabilities: softmax(logits, classes.length, temperature),
    });
  if (shown.metrics.count > 0)
    await runFiles.evaluation.write(run.path, {
      ...shown.metrics,
      split: test ? 'test' : val ? 'val' : 'held out of train',
      classes,
      predictions: shown.images,
      refused: shown.refused,
      calibration: labels.length > 0 ? { temperature, eceBefore: uncalibrated.ece, eceAfter: selected.ece } : undefined,
    });
  const groups = sharedGroups(samples);
  await runFiles.selection.write(run.path, {
    images: samples.map(({ path }, row) => ({
      path,
      right: argmax(logits, row * classes.length, classes.length) === labels[row],
      group: groups[row],
      loss: crossEntropy(
        logits.subarray(row * classes.length, (row + 1) * classes.length),
        [labels[row]!],
        classes.length,
        temperature,
      ),
      logits: [...logits.subarray(row * classes.length, (row + 1) * classes.length)],
    })),
  });
}
