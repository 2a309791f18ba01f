// Features of the test images by frozen networks, for scripts that compare closed forms on them.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openDataset } from '../dist/data/dataset.js';
import { createPool } from '../dist/data/pool.js';
import { prepareImages } from '../dist/data/prepare.js';
import { foldsOf } from '../dist/data/split.js';
import { evaluationTarget } from '../dist/data/target.js';
import { createEngine } from '../dist/engine/index.js';
import { argmax } from '../dist/evaluate/metrics.js';
import { resolveModel } from '../dist/models/index.js';
import { consensusHeadL2 } from '../dist/options/recipes.js';
import { earlierLayers } from '../dist/runs/features.js';
import { featureGraph } from '../dist/techniques/features.js';
import { openRegression, predict, startOf } from '../dist/techniques/regression.js';
import { featuresOf } from '../dist/techniques/stored-features.js';

export const root = fileURLToPath(new URL('..', import.meta.url));
const shared = process.env.PUPIL_SHARED ?? join(root, '..', 'shared');
const cache = join(root, '.cache', 'results', 'features');
/** Shares of the training images of five classes, and of others in turn. */
export const unlikeShares = [1, 0.5, 0.2, 0.5, 1];
/** Sets with a share of the training images of each class. */
export const imbalanced = { 'flowers-imbalanced': { data: 'flowers', shares: unlikeShares } };

/** Layers of all images of a set by a network, computed once. */
async function featuresBy(network, set) {
  const at = (name) => join(cache, `${set}-${network}${name}`);
  if (!existsSync(at('.json'))) {
    const { classes, samples } = await openDataset(join(shared, 'data', set));
    const model = await resolveModel(join(shared, 'models', `${network}.onnx`), {
      labels: classes,
      normalize: 'symmetric',
      purpose: 'pretrained',
    });
    const pool = createPool();
    const images = await prepareImages(samples, { pool, target: evaluationTarget(model.preprocessing) });
    const runner = await createEngine('auto', { purpose: 'evaluation', graphs: () => [featureGraph(model)] });
    const subset = [...images.samples.keys()];
    const layers = await featuresOf(runner, model, { images, subset, earlier: earlierLayers(model) });
    mkdirSync(cache, { recursive: true });
    layers.forEach(({ features }, i) => writeFileSync(at(`-${i}.f32`), new Uint8Array(features.buffer)));
    const described = images.samples.map(({ path, label, split, hash }) => ({ path, label, split, hash }));
    const sizes = layers.map(({ size }) => size);
    writeFileSync(at('.json'), JSON.stringify({ classes, sizes, samples: described }));
    await runner.close();
    await pool.close();
  }
  const { classes, sizes, samples } = JSON.parse(readFileSync(at('.json'), 'utf8'));
  const layers = sizes.map((size, i) => ({
    features: new Float32Array(new Uint8Array(readFileSync(at(`-${i}.f32`))).buffer),
    size,
  }));
  return { classes, samples, layers };
}

/** The training images and those of val of a set; `layers` are those of the networks one after another. */
export async function open(name, networks) {
  const { data: set, shares } = imbalanced[name] ?? { data: name };
  const seen = [];
  for (const network of networks) seen.push(await featuresBy(network, set));
  const [{ classes, samples }] = seen;
  const all = { samples, layers: seen.flatMap(({ layers }) => layers) };
  const part = (split) => [...samples.keys()].filter((i) => samples[i].split === split);
  const train = classes.flatMap((_, c) => {
    const own = part('train').filter((i) => samples[i].label === c);
    return own.slice(0, Math.round(own.length * (shares?.[c] ?? 1)));
  });
  return { classes: classes.length, train: take(all, train), val: take(all, part('val')) };
}

/** Some images of a set. */
export const take = ({ layers, samples }, indexes) => ({
  samples: indexes.map((i) => samples[i]),
  layers: layers.map(({ features, size }) => {
    const some = new Float32Array(indexes.length * size);
    indexes.forEach((i, row) => some.set(features.subarray(i * size, (i + 1) * size), row * size));
    return { features: some, size };
  }),
});

export const labelsOf = ({ samples }, labelled) => {
  const known = new Set(labelled);
  return samples.map(({ label }, i) => (known.has(i) ? label : -1));
};

/** Labelled images by index, held out in turn. */
export function foldsAt({ samples }, labelled, most) {
  const place = new Map(labelled.map((i) => [samples[i].path, i]));
  return foldsOf(
    labelled.map((i) => samples[i]),
    most,
  ).map(({ selection }) => selection.map(({ path }) => place.get(path)));
}

/** Of a last layer on the first layer of features. */
export const accuracy = ({ classes, val }, head) => {
  const logits = predict(val.layers[0], head, [...val.samples.keys()], new Float32Array(val.samples.length * classes));
  return (
    val.samples.filter(({ label }, i) => argmax(logits, i * classes, classes) === label).length / val.samples.length
  );
};

/** The last layer on soft labels of all images, as `train --mode consensus` solves it. */
export async function headOn(engine, [layer], targets, classes) {
  const regression = await openRegression(engine, layer, classes);
  const included = new Float32Array(targets.length / classes).fill(1);
  const start = startOf({ size: layer.size, classes });
  const head = await regression.fit({ targets, included, l2: consensusHeadL2 }, start);
  await regression.close();
  return head;
}
