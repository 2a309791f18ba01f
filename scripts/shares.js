// What unlike shares of classes among the unlabelled images cost the consensus: `node scripts/shares.js
// SET...` (scenes, hymenoptera, flowers; --seeds 0,1,2,3,4), with ten labels a class, those of
// `--labels-per-class 10`. Every pool of unlabelled images has the same labels beside it: all other
// training images, fewer of them in equal shares, and as many in unlike shares. "Adjusted" is the last
// layer with half of the logarithm of the shares found taken from its logits (logit adjustment, Menon
// et al. 2021). Every seed is saved in results/shares.json at once; `node scripts/results.js --render`
// puts the table on the page. Needs the images and weights that docs/results.md names, in ../shared or
// $PUPIL_SHARED.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { keepLabels } from '../dist/data/split.js';
import { createEngine } from '../dist/engine/index.js';
import { argmax } from '../dist/evaluate/metrics.js';
import { common } from '../dist/options/recipes.js';
import { consensus } from '../dist/techniques/consensus.js';
import { accuracy, foldsAt, headOn, labelsOf, open, root, take, unlikeShares } from './frozen-features.js';

const file = join(root, 'results', 'shares.json');
const read = () => (existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {});

/** The training images that a pool has beside the labelled ones, by the share of each class. */
function poolOf({ classes, train }, kept, share) {
  return [...Array(classes).keys()].flatMap((c) => {
    const own = [...train.samples.keys()].filter((i) => train.samples[i].label === c);
    const known = own.filter((i) => kept.has(train.samples[i]));
    const others = own.filter((i) => !kept.has(train.samples[i]));
    return [...known, ...others.slice(0, Math.max(0, Math.round(own.length * share(c)) - known.length))];
  });
}

async function measurePool(engine, { classes, train, val }, kept, rows) {
  const part = take(train, rows);
  const labelled = rows.flatMap((row, i) => (kept.has(train.samples[row]) ? [i] : []));
  const labels = Int32Array.from(labelsOf(part, labelled));
  const problem = { networks: [part.layers], labels, classes };
  const { probabilities } = await consensus(engine, problem, foldsAt(part, labelled, common.folds));
  const free = rows.flatMap((_, i) => (labels[i] < 0 ? [i] : []));
  const right = free.filter((i) => argmax(probabilities, i * classes, classes) === part.samples[i].label);
  const found = Array.from({ length: classes }, (_, c) =>
    rows.reduce((sum, _, i) => sum + probabilities[i * classes + c] / rows.length, 0),
  );
  const head = await headOn(engine, part.layers, probabilities, classes);
  const adjusted = { ...head, bias: head.bias.map((b, c) => b - Math.log(found[c]) / 2) };
  return {
    images: rows.length,
    labels: right.length / free.length,
    val: accuracy({ classes, val }, head),
    adjusted: accuracy({ classes, val }, adjusted),
  };
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { seeds: { type: 'string', default: '0,1,2,3,4' } },
});
const engine = await createEngine('ort', { threads: 1 });
for (const name of positionals) {
  const set = await open(name, ['mobilenetv2-1.0-224']);
  const shares = Array.from({ length: set.classes }, (_, c) => unlikeShares[c % unlikeShares.length]);
  const mean = shares.reduce((sum, share) => sum + share, 0) / set.classes;
  const pools = { 'all others': () => 1, 'fewer, equal shares': () => mean, 'as few, unlike shares': (c) => shares[c] };
  for (const seed of values.seeds.split(',').map(Number)) {
    if (read()[name]?.[seed] !== undefined) continue;
    const kept = new Set(keepLabels(set.train.samples, 10, seed).labelled);
    const result = {};
    for (const [pool, share] of Object.entries(pools))
      result[pool] = await measurePool(engine, set, kept, poolOf(set, kept, share));
    const latest = read();
    latest[name] = { ...latest[name], [seed]: result };
    writeFileSync(file, `${JSON.stringify(latest, null, 1)}\n`);
    for (const [pool, { labels, val, adjusted }] of Object.entries(result))
      console.error(name, seed, labels.toFixed(4), val.toFixed(4), adjusted.toFixed(4), pool);
  }
}
await engine.close();
