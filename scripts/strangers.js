// How well the consensus sets aside images of a class that has no label: `node scripts/strangers.js SET...`
// (scenes, hymenoptera, flowers; --seeds 0,1). Each class in turn is left out of the labels, and its images
// are among the unlabelled ones; of two classes none can be left out, and those of scenes are put beside
// them. "150": 150 unlabelled images, 25 of them strangers; "all": all training images. Every pool is looked
// at once more without its strangers. "50 of one class": all unlabelled images are of one class that has labels, so
// that there is nobody to set aside; of one class after the other. Every seed is saved in results/strangers.json at
// once; `node scripts/results.js --render` puts the table on the page. Needs the images and weights that
// docs/results.md names, in ../shared or $PUPIL_SHARED.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { keepLabels } from '../dist/data/split.js';
import { createEngine } from '../dist/engine/index.js';
import { common } from '../dist/options/recipes.js';
import { Random } from '../dist/random.js';
import { openMixture } from '../dist/techniques/closed-form/mixture.js';
import { propagate } from '../dist/techniques/closed-form/propagation.js';
import { lookOutside } from '../dist/techniques/closed-form/strangers.js';
import { exactViews } from '../dist/techniques/closed-form/views.js';
import { setAside } from '../dist/techniques/consensus.js';
import { foldsAt, labelsOf, open, root, take } from './frozen-features.js';

const file = join(root, 'results', 'strangers.json');
const read = () => (existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {});
const network = ['mobilenetv2-1.0-224'];
/** Where images of another set stand for those of a class without labels. */
const beside = 'scenes';
/** Labels a class, and unlabelled images with the strangers among them; all of them by default. */
const settings = [
  { name: '10 labels, 150', perClass: 10, free: 150, strangers: 25 },
  { name: '5 labels, 150', perClass: 5, free: 150, strangers: 25 },
  { name: '10 labels, all', perClass: 10 },
];

/** Labels a class, beside unlabelled images of one class alone. */
const alone = [
  { name: '10 labels, 50 of one class', perClass: 10, free: 50 },
  { name: '5 labels, 50 of one class', perClass: 5, free: 50 },
];

/** Samples of one set after those of another. */
const joined = (one, other) => ({
  samples: [...one.samples, ...other.samples],
  layers: one.layers.map(({ features, size }, k) => {
    const all = new Float32Array(features.length + other.layers[k].features.length);
    all.set(features);
    all.set(other.layers[k].features, features.length);
    return { features: all, size };
  }),
});

/** A pool: labelled images, others of their classes, and strangers, which come last. */
function poolOf(known, strange, { perClass, free, strangers }, seed, isTwin) {
  const random = new Random(seed, 'strangers');
  const kept = new Set(keepLabels(known.samples, perClass, seed).labelled);
  const place = [...known.samples.keys()];
  const labelled = place.filter((i) => kept.has(known.samples[i]));
  const others = random.shuffle(place.filter((i) => !kept.has(known.samples[i])));
  const odd = isTwin ? [] : random.shuffle([...strange.samples.keys()]).slice(0, strangers);
  const part = joined(take(known, [...labelled, ...others.slice(0, free && free - odd.length)]), take(strange, odd));
  return { part, labelled: [...labelled.keys()], odd: odd.length };
}

/** How often a stranger has more of it than another image. */
function auroc(values, isStrange) {
  const order = [...values.keys()].sort((a, b) => values[a] - values[b]);
  const strange = order.filter((i) => isStrange[i]).length;
  let below = 0,
    sum = 0;
  for (const i of order) {
    if (isStrange[i]) sum += below;
    else below++;
  }
  return sum / (strange * (order.length - strange));
}

/** What other measures of being unlike the classes say, of every image. */
async function distances(engine, { components, affinities }, labels, classes) {
  const { scores, size, variances } = components,
    count = labels.length,
    d = Math.min(32, size);
  const mixture = await openMixture(engine, components, classes);
  const guess = propagate(affinities, new Float32Array(count * classes), labels, classes);
  const shares = await mixture.fit(guess, labels, d);
  await mixture.close();
  const means = new Float64Array(classes * d),
    totals = new Float64Array(classes).fill(1e-6),
    within = new Float64Array(d);
  const each = (work) => {
    for (let i = 0; i < count; i++) for (let c = 0; c < classes; c++) work(i, c, shares[i * classes + c]);
  };
  each((i, c, share) => {
    totals[c] += share;
    for (let k = 0; k < d; k++) means[c * d + k] += share * scores[i * size + k];
  });
  means.forEach((sum, at) => (means[at] = sum / totals[Math.floor(at / d)]));
  each((i, c, share) => {
    for (let k = 0; k < d; k++) within[k] += (share * (scores[i * size + k] - means[c * d + k]) ** 2) / count;
  });
  const floor = within.reduce((sum, x) => sum + x, 0) / d / 10;
  const mahalanobis = Array.from(labels, (_, i) =>
    Math.min(
      ...Array.from(totals, (__, c) =>
        within.reduce((sum, w, k) => sum + (scores[i * size + k] - means[c * d + k]) ** 2 / (0.9 * w + floor), 0),
      ),
    ),
  );
  const background = (i) => within.reduce((sum, _, k) => sum + scores[i * size + k] ** 2 / variances[k], 0);
  const lengths = Array.from(labels, (_, i) => Math.hypot(...scores.subarray(i * size, (i + 1) * size)));
  const cosine = (i, j) => {
    let sum = 0;
    for (let k = 0; k < size; k++) sum += scores[i * size + k] * scores[j * size + k];
    return sum / (lengths[i] * lengths[j]);
  };
  const known = [...labels.keys()].filter((i) => labels[i] >= 0);
  return {
    'nearest label': Array.from(labels, (_, i) => -Math.max(...known.map((j) => cosine(i, j)))),
    mahalanobis,
    'relative mahalanobis': mahalanobis.map((distance, i) => distance - background(i)),
  };
}

async function measurePool(engine, { part, labelled, odd }) {
  const names = [...new Set(labelled.map((i) => part.samples[i].label))];
  const numbered = {
    ...part,
    samples: part.samples.map((sample) => ({ ...sample, label: names.indexOf(sample.label) })),
  };
  const labels = Int32Array.from(labelsOf(numbered, labelled)),
    classes = names.length;
  const folds = foldsAt(numbered, labelled, common.folds);
  const views = exactViews(engine, [part.layers]);
  const aside = await setAside(engine, views, labels, classes, folds);
  const free = [...labels.keys()].filter((i) => labels[i] < 0);
  const isStrange = free.map((i) => i >= labels.length - odd);
  const share = (strange) => {
    const some = free.filter((_, at) => isStrange[at] === strange);
    return some.length === 0 ? undefined : some.filter((i) => aside[i] === 1).length / some.length;
  };
  const found = { strangers: share(true), others: share(false) };
  if (odd === 0) return found;
  const images = await views.of([0], 'all');
  const { none, chance, mistaken } = await lookOutside(engine, [images], { labels, classes }, folds);
  const scores = { mixture: none, ...(await distances(engine, images, labels, classes)) };
  const order = Object.entries(scores).map(([name, values]) => [
    name,
    auroc(
      free.map((i) => values[i]),
      isStrange,
    ),
  ]);
  return { ...found, chance, mistaken, auroc: Object.fromEntries(order) };
}

/** The images with labels and the strangers, for each class left out. */
async function* cases(name) {
  const { classes, train } = await open(name, network);
  const places = (set, isOf) => [...set.samples.keys()].filter((i) => isOf(set.samples[i].label));
  if (classes > 2)
    for (let c = 0; c < classes; c++)
      yield [
        c,
        take(
          train,
          places(train, (label) => label !== c),
        ),
        take(
          train,
          places(train, (label) => label === c),
        ),
      ];
  else {
    const other = await open(beside, network);
    for (let c = 0; c < other.classes; c++)
      yield [
        c,
        train,
        take(
          other.train,
          places(other.train, (l) => l === c),
        ),
      ];
  }
}

/** The share of the images of a class that is set aside where no others are without labels, class by class. */
async function ofOneClass(engine, name, { perClass, free }, seed) {
  const { classes, train } = await open(name, network);
  const kept = new Set(keepLabels(train.samples, perClass, seed).labelled);
  const place = [...train.samples.keys()];
  const labelled = place.filter((i) => kept.has(train.samples[i]));
  const rows = [];
  for (let out = 0; out < classes; out++) {
    const own = place.filter((i) => !kept.has(train.samples[i]) && train.samples[i].label === out);
    const others = new Random(seed, 'one class').shuffle(own).slice(0, free);
    const part = take(train, [...labelled, ...others]);
    const { others: without } = await measurePool(engine, { part, labelled: [...labelled.keys()], odd: 0 });
    rows.push({ out, without });
  }
  return rows;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seeds: { type: 'string', default: '0,1' } },
});
const engine = await createEngine('ort', { threads: 1 });
for (const name of positionals)
  for (const seed of values.seeds.split(',').map(Number)) {
    const result = { ...read()[name]?.[seed] };
    for (const setting of settings) {
      if (result[setting.name] !== undefined) continue;
      const rows = [];
      for await (const [out, known, strange] of cases(name)) {
        const row = await measurePool(engine, poolOf(known, strange, setting, seed, false));
        const twin = await measurePool(engine, poolOf(known, strange, setting, seed, true));
        rows.push({ out, ...row, without: twin.others });
        console.error(name, seed, setting.name, JSON.stringify(rows.at(-1)));
      }
      result[setting.name] = rows;
    }
    for (const setting of alone) result[setting.name] ??= await ofOneClass(engine, name, setting, seed);
    const latest = read();
    latest[name] = { ...latest[name], [seed]: result };
    writeFileSync(file, `${JSON.stringify(latest, null, 1)}\n`);
  }
await engine.close();
