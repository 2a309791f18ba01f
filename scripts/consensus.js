// Measures what each part of the consensus brings: `node scripts/consensus.js SET...` (flowers,
// flowers-imbalanced, hymenoptera, scenes, objects50; --seeds 0,1,2,3,4), with ten labels a class or
// --labels-per-class 2, those of `train`. Each row has what the rows above it have, and one thing more.
// Every seed is saved in results/consensus.json at once; `node scripts/results.js --render` puts the
// table on the page. Needs the images and weights that docs/results.md names, in ../shared or
// $PUPIL_SHARED.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { keepLabels } from '../dist/data/split.js';
import { createEngine } from '../dist/engine/index.js';
import { argmax } from '../dist/evaluate/metrics.js';
import { common } from '../dist/options/recipes.js';
import { principalComponents } from '../dist/techniques/closed-form/components.js';
import { openLinear } from '../dist/techniques/closed-form/linear.js';
import { openMixture } from '../dist/techniques/closed-form/mixture.js';
import { affinitiesOf } from '../dist/techniques/closed-form/neighbours.js';
import { powerTransform } from '../dist/techniques/closed-form/power-transform.js';
import { propagate } from '../dist/techniques/closed-form/propagation.js';
import { consensus } from '../dist/techniques/consensus.js';
import { fitProbe } from '../dist/techniques/probe.js';
import { predict } from '../dist/techniques/regression.js';
import { accuracy, foldsAt, headOn, labelsOf, open, root, take } from './frozen-features.js';

const file = join(root, 'results', 'consensus.json');
const networks = ['mobilenetv2-1.0-224', 'mobilenetv1-0.75-192'];
/** Layers of each network: the last, and an earlier one. */
const own = 2;
const components = 128;

/** Images of one seed: the labelled ones by index, and what is known. */
function drawn({ classes, train }, perClass, seed) {
  const kept = new Set(keepLabels(train.samples, perClass, seed).labelled);
  const labelled = [...train.samples.keys()].filter((i) => kept.has(train.samples[i]));
  return {
    labelled,
    labels: Int32Array.from(labelsOf(train, labelled)),
    folds: foldsAt(train, labelled, common.folds),
  };
}

/** Probabilities of all images by a form on some layers. */
async function withForms(engine, { classes, labels }, layers, look) {
  const rows = powerTransform(layers);
  const seen = await principalComponents(engine, rows, 256);
  const at = async (settings, work) => {
    const mixture = await openMixture(engine, seen, classes, settings);
    try {
      return await work(mixture);
    } finally {
      await mixture.close();
    }
  };
  const images = { components: seen, deviation: 1 / Math.sqrt(rows.size) };
  const linear = await at(undefined, async (mixture) => {
    const classifier = await openLinear(engine, images, mixture, { labels, classes });
    try {
      return await classifier.classify(labels);
    } finally {
      await classifier.close();
    }
  });
  const affinities = await affinitiesOf(engine, { features: seen.scores, size: seen.size }, 10);
  const spread = propagate(affinities, linear, labels, classes);
  return look({
    linear,
    spread,
    mixture: (settings) => at(settings, (mixture) => mixture.fit(spread, labels, components)),
  });
}

/** What every row says of the training images: [name, probabilities]. */
async function* rows(engine, { classes, train }, { labels, folds }) {
  const problem = { classes, labels };
  const [last] = train.layers;
  yield* await withForms(engine, problem, [last], async ({ linear, spread, mixture }) => [
    ['linear classifier on transformed features', linear],
    ['+ spreading along the graph of neighbours', spread],
    [`+ mixture in ${components} dimensions, equal shares of classes`, await mixture({ found: 0, labelled: 1 })],
    ['+ shares half-way to those found', await mixture({ found: 0.5, labelled: 1 })],
    ['+ labelled images count double', await mixture({ found: 0.5, labelled: 2 })],
  ]);
  const layers = [train.layers.slice(0, own), train.layers.slice(own)];
  const agreed = async (seen) => (await consensus(engine, { networks: seen, labels, classes }, folds)).probabilities;
  yield ['+ all forms', await agreed([[last]])];
  yield ['+ an earlier layer beside, unless clearly worse: the consensus', await agreed([layers[0]])];
  yield ['+ MobileNetV1-0.75 beside', await agreed(layers)];
}

/** The last layer on the labels alone, as `train --mode probe`. */
async function probe(engine, { classes, train }, { labelled }) {
  const only = take(train, labelled);
  const everyone = [...labelled.keys()];
  const known = { ...only.layers[0], labels: only.samples.map(({ label }) => label), classes };
  return (await fitProbe(engine, known, foldsAt(only, everyone, common.folds), everyone)).head;
}

const read = () => (existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {});

async function measure(name, set, perClass, seed) {
  const engine = await createEngine('ort', { threads: 1 });
  const { classes, train } = set,
    draw = drawn(set, perClass, seed);
  const free = [...train.samples.keys()].filter((i) => draw.labels[i] < 0);
  const right = (rows) =>
    free.filter((i) => argmax(rows, i * classes, classes) === train.samples[i].label).length / free.length;
  const head = await probe(engine, set, draw);
  const logits = new Float32Array(train.samples.length * classes);
  const result = {
    'last layer on the labels alone (`--mode probe`)': {
      labels: right(predict(train.layers[0], head, [...train.samples.keys()], logits)),
      val: accuracy(set, head),
    },
  };
  for await (const [row, probabilities] of rows(engine, set, draw)) {
    const val = accuracy(set, await headOn(engine, train.layers, probabilities, classes));
    result[row] = { labels: right(probabilities), val };
  }
  await engine.close();
  const latest = read();
  latest[name] = { ...latest[name], [seed]: result };
  writeFileSync(file, `${JSON.stringify(latest, null, 1)}\n`);
  for (const [row, { labels, val }] of Object.entries(result))
    console.error(name, seed, labels.toFixed(4), val.toFixed(4), row);
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    'seeds': { type: 'string', default: '0,1,2,3,4' },
    'labels-per-class': { type: 'string', default: '10' },
  },
});
const perClass = Number(values['labels-per-class']);
for (const data of positionals) {
  const set = await open(data, networks),
    name = perClass === 10 ? data : `${data}-${perClass}`;
  for (const seed of values.seeds.split(',').map(Number))
    if (read()[name]?.[seed] === undefined) await measure(name, set, perClass, seed);
}
