// What 60 labels that the studio proposes are worth beside 60 at random and all 200, without a training:
// node scripts/studio/choices.js hymenoptera [--draws 10] [--images 200] [--labels 60] [--batch 10]. Each draw is
// other training images; the last layer of MobileNetV2 is solved on the labels alone (`probe`) and on those that a
// consensus finds for all images (`consensus`), and measured on val. Other sets are taken two classes at a time. Needs
// the images and weights that docs/results.md names.
import { parseArgs } from 'node:util';
import { createEngine } from '../../dist/engine/index.js';
import { unitRows } from '../../dist/evaluate/unit-rows.js';
import { common } from '../../dist/options/recipes.js';
import { Random } from '../../dist/random.js';
import { mixed } from '../../dist/studio/estimate.js';
import { learn, propose } from '../../dist/studio/lesson.js';
import { keptViews } from '../../dist/techniques/closed-form/views.js';
import { consensus } from '../../dist/techniques/consensus.js';
import { fitProbe } from '../../dist/techniques/probe.js';
import { accuracy, foldsAt, headOn, labelsOf, open, take } from '../frozen-features.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    draws: { type: 'string', default: '10' },
    images: { type: 'string', default: '200' },
    labels: { type: 'string', default: '60' },
    batch: { type: 'string', default: '10' },
  },
});
const [draws, count, most, batch] = ['draws', 'images', 'labels', 'batch'].map((name) => Number(values[name]));
const engine = await createEngine('ort', { threads: 1 });

/** Labelled images by index, and those of them that were drawn at random. */
async function chosenBy(how, images, seed) {
  const ids = [...images.samples.keys()],
    order = new Random(seed, 'order').shuffle(ids);
  if (how === 'all') return { labelled: ids };
  if (how === 'random') return { labelled: order.slice(0, most) };
  const unit = unitRows(images.layers[0].features, images.layers[0].size);
  const sight = { ...images, ids, unit, views: keptViews(engine, [images.layers]) };
  const labels = new Int32Array(ids.length).fill(-1),
    drawn = [];
  let strange;
  for (let given = 0; given < most; given += batch) {
    const classes = new Set(labels.filter((label) => label >= 0)).size < 2 ? 1 : 2;
    const lesson = await learn(engine, sight, { labels, classes, skipped: [], drawn }, strange);
    const next = await propose(engine, sight, lesson, batch);
    strange = next.strange;
    const free = order.filter((id) => labels[id] < 0);
    for (const { id, why } of mixed(next.proposed.proposals, free, { answered: given, count: batch })) {
      labels[id] = images.samples[id].label;
      if (why === 'random') drawn.push(id);
    }
  }
  return { labelled: ids.filter((id) => labels[id] >= 0), drawn };
}

/** Accuracies on val. */
async function learned(val, images, { labelled, drawn }) {
  const only = take(images, labelled),
    own = [...labelled.keys()];
  const set = { ...only.layers[0], labels: only.samples.map(({ label }) => label), classes: 2 };
  const { head } = await fitProbe(engine, set, foldsAt(only, own, common.folds), own);
  const known = { networks: [images.layers], labels: labelsOf(images, labelled), classes: 2, drawn };
  const { probabilities } = await consensus(engine, known, foldsAt(images, labelled, common.folds));
  const on = (one) => accuracy({ classes: 2, val }, one);
  return { probe: on(head), consensus: on(await headOn(engine, images.layers, probabilities, 2)) };
}

const ofTwo = (part, pair) => {
  const rows = [...part.samples.keys()].filter((i) => pair.includes(part.samples[i].label));
  const { layers, samples } = take(part, rows);
  return { layers, samples: samples.map((sample) => ({ ...sample, label: pair.indexOf(sample.label) })) };
};
const mean = (numbers) => numbers.reduce((sum, x) => sum + x, 0) / numbers.length;

for (const name of positionals) {
  const { classes, train, val } = await open(name, ['mobilenetv2-1.0-224']);
  const pairs = Array.from({ length: classes }, (_, b) => Array.from({ length: b }, (__, a) => [a, b])).flat();
  const found = [];
  for (let seed = 0; seed < draws; seed++)
    for (const pair of pairs) {
      const [some, others] = [ofTwo(train, pair), ofTwo(val, pair)];
      const order = new Random(seed, `play ${pair.join(' ')}`).shuffle([...some.samples.keys()]);
      const images = take(some, order.slice(0, count));
      const row = {};
      for (const how of ['studio', 'random', 'all'])
        row[how] = await learned(others, images, await chosenBy(how, images, seed));
      found.push(row);
      console.log(name, seed, pair.join('-'), JSON.stringify(row));
    }
  for (const how of ['studio', 'random', 'all'])
    for (const kind of ['probe', 'consensus']) {
      const below = found.map((row) => 100 * (row.all[kind] - row[how][kind]));
      const near = below.filter((points) => points <= 1).length;
      const accuracies = found.map((row) => 100 * row[how][kind]);
      const about = `${mean(accuracies).toFixed(1)}%, ${mean(below).toFixed(2)} points below all labels`;
      console.log(`${name}, ${how}, ${kind}: ${about}; within 1 point in ${near} of ${found.length}`);
    }
}
await engine.close();
