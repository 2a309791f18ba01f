// How often an int8 teacher gives the label of its float32 model, and how right both are: node
// bench/teacher.js MODEL DATA [--calibrate 300] MODEL is a run that was trained on DATA. Calibrated
// on training images taken evenly; every other number is of all images of a split.
import { parseArgs } from 'node:util';
import { createEvaluationLoader } from '../dist/data/loader.js';
import { openDataset } from '../dist/data/dataset.js';
import { createPool } from '../dist/data/pool.js';
import { prepareImages } from '../dist/data/prepare.js';
import { evaluationTarget } from '../dist/data/target.js';
import { createEngine } from '../dist/engine/index.js';
import { run } from '../dist/evaluate/evaluate.js';
import { classifierOf } from '../dist/evaluate/load.js';
import { argmax } from '../dist/evaluate/metrics.js';
import { quantizeModel } from '../dist/evaluate/quantize.js';
import { resolveModel } from '../dist/models/index.js';

const {
  values,
  positionals: [source, data],
} = parseArgs({
  allowPositionals: true,
  options: {
    'calibrate': { type: 'string', default: '300' },
    'threads': { type: 'string', default: '2' },
    'ranges': { type: 'string' },
    'reduce-range': { type: 'boolean' },
  },
});
const threads = Number(values.threads),
  count = Number(values.calibrate);
const model = await resolveModel(source),
  classes = model.labels.length;
const dataset = await openDataset(data, { classes: model.labels });
const engine = await createEngine('ort', { threads }),
  pool = createPool({ workers: threads });
const images = await prepareImages(dataset.samples, { pool, target: evaluationTarget(model.preprocessing) });
const of = (split) => images.samples.flatMap((sample, i) => (sample.split === split ? [i] : []));
const train = of('train'),
  subset = Array.from(
    { length: Math.min(count, train.length) },
    (_, i) => train[Math.floor((i * train.length) / Math.min(count, train.length))],
  );

const calibration = createEvaluationLoader({ images, classes, batchSize: 8, subset }).batches(0);
const graph = await quantizeModel(model, calibration, {
  engine,
  ranges: values.ranges,
  reduceRange: values['reduce-range'],
});
const labelsOf = async (classifier) => {
  const { logits } = await run(classifier, images, { batchSize: 16 });
  await classifier.close();
  return images.samples.map((_, i) => argmax(logits, i * classes, classes));
};
const float = await labelsOf(await classifierOf(engine, model)),
  int8 = await labelsOf(await classifierOf(engine, model, { graph }));
await pool.close();
await engine.close();
for (const split of ['train', 'val', 'test']) {
  const indexes = of(split);
  if (indexes.length === 0) continue;
  const share = (holds) => Number((indexes.filter(holds).length / indexes.length).toFixed(4));
  console.log(
    JSON.stringify({
      split,
      count: indexes.length,
      calibrated: subset.length,
      agreement: share((i) => float[i] === int8[i]),
      float32: share((i) => float[i] === images.samples[i].label),
      int8: share((i) => int8[i] === images.samples[i].label),
    }),
  );
}
