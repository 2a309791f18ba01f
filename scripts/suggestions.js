// Measures whether images that `pupil suggest` chooses are worth more than others:
// `node scripts/suggestions.js SET...` (flowers, flowers-imbalanced, hymenoptera, scenes; --seeds
// 0,1,2). A seed leaves out a fifth of the training images, at random, and all methods choose from
// the others. Two, five, ten and twenty labels a class, chosen without knowing classes where the
// method's name does not say so, train the last layer, by the labels alone and by the consensus with
// all other images; accuracy is on val. Every seed is saved in results/suggestions.json at once;
// `node scripts/results.js --render` puts the table on the page. Needs the images and weights that
// docs/results.md names, in ../shared or $PUPIL_SHARED.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createEngine } from '../dist/engine/index.js';
import { common } from '../dist/options/recipes.js';
import { Random } from '../dist/random.js';
import { principalComponents } from '../dist/techniques/closed-form/components.js';
import { powerTransform } from '../dist/techniques/closed-form/power-transform.js';
import { consensus } from '../dist/techniques/consensus.js';
import { fitProbe } from '../dist/techniques/probe.js';
import { suggestImages } from '../dist/techniques/suggestions.js';
import { accuracy, foldsAt, headOn, labelsOf, open, root, take } from './frozen-features.js';

const file = join(root, 'results', 'suggestions.json');
const budgets = [2, 5, 10, 20];

/** The last layer on the labels alone, as `train --mode probe`. */
async function probe(set, images, labelled) {
  const only = take(images, labelled);
  const folds = foldsAt(only, [...labelled.keys()], common.folds);
  const labels = only.samples.map(({ label }) => label);
  const known = { ...only.layers[0], labels, classes: set.classes };
  return accuracy(set, (await fitProbe(set.engine, known, folds, [...labelled.keys()])).head);
}

/** The last layer on the labels that a consensus finds for all images, as `train --mode consensus`. */
async function byConsensus({ engine, classes, val }, images, labelled) {
  const labels = labelsOf(images, labelled);
  const folds = foldsAt(images, labelled, common.folds);
  const { probabilities } = await consensus(engine, { networks: [images.layers], labels, classes }, folds);
  return accuracy({ classes, val }, await headOn(engine, images.layers, probabilities, classes));
}

/** Indexes of `count` images that suggest adds to those with labels. */
async function suggested({ engine, classes }, images, labelled, count) {
  const set = {
    layers: images.layers,
    labels: labelsOf(images, labelled),
    classes,
    folds: foldsAt(images, labelled, common.folds),
  };
  return (await suggestImages(engine, set, count)).map(({ index }) => index);
}

const squared = (rows, i, others, j, size) => {
  let sum = 0;
  for (let f = 0; f < size; f++) sum += (rows[i * size + f] - others[j * size + f]) ** 2;
  return sum;
};

/** The best of three runs of k-means (k-means++): the cluster of each row. */
function kMeans({ scores, size }, k, random) {
  const count = scores.length / size;
  let best;
  for (let run = 0; run < 3; run++) {
    const centres = new Float32Array(k * size),
      near = new Float64Array(count).fill(Infinity);
    let next = random.integer(count);
    for (let c = 0; c < k; c++) {
      centres.set(scores.subarray(next * size, (next + 1) * size), c * size);
      let total = 0;
      for (let i = 0; i < count; i++) total += near[i] = Math.min(near[i], squared(scores, i, centres, c, size));
      let at = random.uniform() * total;
      next = near.findIndex((distance) => (at -= distance) <= 0);
      if (next < 0) next = count - 1;
    }
    const of = new Int32Array(count).fill(-1);
    let sum = 0;
    for (let iteration = 0; iteration < 50; iteration++) {
      let moved = false;
      sum = 0;
      for (let i = 0; i < count; i++) {
        let closest = 0,
          least = Infinity;
        for (let c = 0; c < k; c++) {
          const distance = squared(scores, i, centres, c, size);
          if (distance < least) [closest, least] = [c, distance];
        }
        sum += least;
        moved ||= of[i] !== closest;
        of[i] = closest;
      }
      if (!moved) break;
      const sizes = new Float64Array(k),
        sums = new Float64Array(k * size);
      for (let i = 0; i < count; i++) {
        sizes[of[i]]++;
        for (let f = 0; f < size; f++) sums[of[i] * size + f] += scores[i * size + f];
      }
      centres.forEach((_, at) => {
        const c = Math.floor(at / size);
        if (sizes[c] > 0) centres[at] = sums[at] / sizes[c];
      });
    }
    if (best === undefined || sum < best.sum) best = { of, sum };
  }
  return best.of;
}

/**
 * TypiClust (Hacohen et al. 2022): as many clusters as labels; of each, the largest first, the image
 * with the smallest mean distance to its twenty nearest neighbours within. Clusters of fewer than
 * five images come last.
 */
async function typiClust({ engine }, images, count, random) {
  const components = await principalComponents(engine, powerTransform(images.layers), 256);
  const { scores, size } = components;
  const clusters = Array.from({ length: count }, () => []);
  kMeans(components, count, random).forEach((c, i) => clusters[c].push(i));
  const distanceWithin = (i, members) => {
    const distances = members.flatMap((j) => (i === j ? [] : [Math.sqrt(squared(scores, i, scores, j, size))]));
    const nearest = distances.sort((a, b) => a - b).slice(0, 20);
    return nearest.reduce((sum, distance) => sum + distance, 0) / Math.max(1, nearest.length);
  };
  return clusters
    .filter((members) => members.length > 0)
    .sort((a, b) => (b.length >= 5) - (a.length >= 5) || b.length - a.length)
    .map((members) => {
      const far = new Map(members.map((i) => [i, distanceWithin(i, members)]));
      return members.reduce((a, b) => (far.get(b) < far.get(a) ? b : a));
    });
}

/** The labelled images of each method, by budget; those of a row contain those of the budget before. */
async function choices(set, images, seed) {
  const { classes } = set;
  const counts = budgets.map((budget) => budget * classes);
  const all = [...images.samples.keys()];
  const random = new Random(seed, 'random').shuffle(all);
  const shuffled = new Random(seed, 'of each class').shuffle(all);
  const ofClass = (c) => shuffled.filter((i) => images.samples[i].label === c);
  const typical = await suggested(set, images, [], counts.at(-1));
  const rounds = [typical.slice(0, counts[0])];
  for (const count of counts.slice(1)) {
    const before = rounds.at(-1);
    rounds.push([...before, ...(await suggested(set, images, before, count - before.length))]);
  }
  const clusters = [];
  for (const count of counts) clusters.push(await typiClust(set, images, count, new Random(seed, 'clusters')));
  return {
    'random': counts.map((count) => random.slice(0, count)),
    'random, so many of each class': budgets.map((budget) =>
      Array.from({ length: classes }, (_, c) => ofClass(c).slice(0, budget)).flat(),
    ),
    'TypiClust, all at once': clusters,
    'suggest, all at once': counts.map((count) => typical.slice(0, count)),
    'suggest, in rounds': rounds,
  };
}

const read = () => (existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {});

async function measure(name, seed) {
  const engine = await createEngine('ort', { threads: 1 });
  const set = { engine, ...(await open(name, ['mobilenetv2-1.0-224'])) };
  const all = [...set.train.samples.keys()];
  const images = take(set.train, new Random(seed, 'images').shuffle(all).slice(0, Math.round(0.8 * all.length)));
  const result = {};
  for (const [method, rounds] of Object.entries(await choices(set, images, seed))) {
    result[method] = [];
    for (const labelled of rounds) {
      result[method].push({
        labels: labelled.length,
        classes: new Set(labelled.map((i) => images.samples[i].label)).size,
        probe: await probe(set, images, labelled),
        consensus: await byConsensus(set, images, labelled),
      });
    }
  }
  await engine.close();
  const latest = read();
  latest[name] = { ...latest[name], [seed]: result };
  writeFileSync(file, `${JSON.stringify(latest, null, 1)}\n`);
  for (const [method, rounds] of Object.entries(result))
    console.error(name, seed, method, ...rounds.map((r) => `${r.probe.toFixed(3)}/${r.consensus.toFixed(3)}`));
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seeds: { type: 'string', default: '0,1,2,3,4' } },
});
for (const seed of values.seeds.split(',').map(Number))
  for (const name of positionals) if (read()[name]?.[seed] === undefined) await measure(name, seed);
