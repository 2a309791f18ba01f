import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { exportModel } from '../artifact/export.js';
import { classifierOf } from '../evaluate/load.js';
import { decodeSample, run as runClassifier, summarise, type Evaluation } from '../evaluate/evaluate.js';
import { argmax, fitTemperature, measure, softmax } from '../evaluate/metrics.js';
import type { Model } from '../models/model.js';
import { writeReport } from '../report/report.js';
import type { RunConfig, RunContext, TrainedModel } from './context.js';
import type { RunImages } from './images.js';
import { reporting, type RunEvent, type TrainResult } from './events.js';

/**
 * selection.json: what the model, or with folds its like, says of images that it did not learn
 * from.
 */
export interface SelectionFile {
  readonly images: readonly { readonly path: string; readonly right: boolean; readonly logits: readonly number[] }[];
}

export const readSelection = async (run: string): Promise<SelectionFile> =>
  JSON.parse(await readFile(join(run, 'selection.json'), 'utf8')) as SelectionFile;

/** Calibrates, exports, evaluates and reports. */
export async function* finish({
  engine,
  images,
  settings,
  run,
  config,
  trained,
  started,
}: Omit<RunContext, 'model' | 'signal'> & {
  readonly config: RunConfig;
  readonly trained: TrainedModel;
  readonly started: number;
}): AsyncGenerator<RunEvent, TrainResult, undefined> {
  const { dataset, evaluation: prepared } = images;
  const heldOut =
    settings.calibrateOn === undefined ? trained.heldOut : await readHeldOut(settings.calibrateOn, images);
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
        runClassifier(classifier, prepared, { subset: indexes, onProgress: (done) => report(done, indexes.length) }),
      );
      evaluated.set(
        split,
        summarise(
          classifier,
          indexes.map((index) => prepared.samples[index]!),
          outputs,
          dataset.unreadable,
        ),
      );
    }
  } finally {
    await classifier.close();
  }
  const val = evaluated.get('val')?.metrics ?? selected;
  const test = evaluated.get('test')?.metrics;
  const seconds = (performance.now() - started) / 1000;
  const result: TrainResult = {
    run: run.path,
    model: run.file('model.onnx'),
    best: { epoch: trained.epoch, ...(labels.length > 0 && { top1: selected.top1 }) },
    val,
    ...(test && { test }),
    seconds,
  };
  await run.write(
    'model.onnx',
    exportModel(model, {
      technique: settings.technique === 'supervised' ? settings.mode : settings.technique,
      mode: settings.mode,
      seed: settings.seed,
      dataHash: config.dataHash,
      versions: config.versions,
      metrics: {
        ...(labels.length > 0 && { selection: brief(selected) }),
        ...(evaluated.has('val') && { val: brief(val) }),
        ...(test && { test: brief(test) }),
      },
    }),
  );
  const reported = evaluated.get('test') ?? evaluated.get('val');
  const shown =
    reported ??
    summarise(
      classifier,
      heldOut.indexes.map((index) => prepared.samples[index]!),
      { logits: heldOut.logits, probabilities: softmax(heldOut.logits, classes, temperature) },
    );
  await run.write(
    'evaluation.json',
    JSON.stringify({
      ...shown.metrics,
      split: evaluated.has('test') ? 'test' : evaluated.has('val') ? 'val' : 'held out of train',
      classes: dataset.classes,
      predictions: shown.images,
      calibration: { temperature, eceBefore: uncalibrated.ece, eceAfter: selected.ece },
    }) + '\n',
  );
  // What was said of the selection images: a later training is compared with it, image by image.
  const selection: SelectionFile = {
    images: heldOut.indexes.map((index, row) => ({
      path: prepared.samples[index]!.path,
      right: argmax(heldOut.logits, row * classes, classes) === labels[row],
      logits: [...heldOut.logits.subarray(row * classes, (row + 1) * classes)],
    })),
  };
  await run.write('selection.json', JSON.stringify(selection) + '\n');
  const sources = new Map(dataset.samples.map((sample) => [sample.path, sample]));
  await writeReport(run.path, {
    readImage: async (path) => {
      const sample = sources.get(path);
      return sample && decodeSample(sample).catch(() => undefined);
    },
  });
  // Last: a run with a result is complete.
  await run.write('result.json', JSON.stringify(result, null, 2) + '\n');
  return result;
}

/** What runs said of the images that they held out, as one. */
async function readHeldOut(runs: readonly string[], { evaluation }: RunImages): Promise<TrainedModel['heldOut']> {
  const files = await Promise.all(runs.map(readSelection));
  const said = new Map(files.flatMap(({ images }) => images.map(({ path, logits }) => [path, logits])));
  const indexes = evaluation.samples.flatMap(({ path, split }, i) => (split === 'train' && said.has(path) ? [i] : []));
  return { indexes, logits: Float32Array.from(indexes.flatMap((index) => said.get(evaluation.samples[index]!.path)!)) };
}

const brief = ({ top1, loss, ece, count }: { top1: number; loss: number; ece: number; count: number }): object => ({
  top1,
  loss,
  ece,
  count,
});
