import { performance } from 'node:perf_hooks';
import { exportModel } from '../artifact/export.js';
import { classifierOf } from '../evaluate/load.js';
import { decodeSample, run as runClassifier, summarise, type Evaluation } from '../evaluate/evaluate.js';
import { argmax, fitTemperature, measure, softmax } from '../evaluate/metrics.js';
import type { Model } from '../models/model.js';
import { writeReport } from '../report/report.js';
import type { RunConfig, RunContext, TrainedModel } from './context.js';
import { reporting, type RunEvent, type TrainResult } from './events.js';

/** Calibrates, exports, evaluates and reports. */
export async function* finish({ engine, images, settings, run, config, trained, started }: Omit<RunContext, 'model' | 'signal'> & {
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
    technique: settings.technique === 'supervised' ? settings.mode : settings.technique, mode: settings.mode, seed: settings.seed, dataHash: config.dataHash, versions: config.versions,
    metrics: { selection: brief(selected), ...(evaluated.has('val') && { val: brief(val) }), ...(test && { test: brief(test) }) },
  }));
  const reported = evaluated.get('test') ?? evaluated.get('val');
  const shown = reported ?? summarise(classifier, heldOut.indexes.map((index) => prepared.samples[index]!), { logits: heldOut.logits, probabilities: softmax(heldOut.logits, classes, temperature) });
  await run.write('evaluation.json', JSON.stringify({
    ...shown.metrics, split: evaluated.has('test') ? 'test' : evaluated.has('val') ? 'val' : 'held out of train',
    classes: dataset.classes, predictions: shown.images,
    calibration: { temperature, eceBefore: uncalibrated.ece, eceAfter: selected.ece },
  }) + '\n');
  // Which of the selection images were right: what a later training is compared with, image by image.
  const { length } = dataset.classes;
  await run.write('selection.json', JSON.stringify({
    images: heldOut.indexes.map((index, row) => ({ path: prepared.samples[index]!.path, right: argmax(heldOut.logits, row * length, length) === labels[row] })),
  }) + '\n');
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

const brief = ({ top1, loss, ece, count }: { top1: number; loss: number; ece: number; count: number }): object => ({ top1, loss, ece, count });
