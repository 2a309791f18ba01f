// Replays labelling with the studio's own proposals on features of real photos, and counts how often the
// 95% interval of the estimate covers the truth: `node scripts/studio/replays.js [--replays 50]
// [--sets hymenoptera,scenes,flowers] [--images 400] [--labels 80] [--batch 20] [--accept 0.9]`, so many replays
// of each set. With `--accept` a person also accepts, after each batch, the right ones of the suggestions that
// are so sure. The truth is the share of images of val that the model is right about: they lie among the others
// and are never proposed. Every replay is saved in results/replays.json at once, and those that are there are not
// made again; `node scripts/results.js --render` puts the table on the page. Needs the images and weights that
// docs/results.md names.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { createEngine } from '../../dist/engine/index.js';
import { unitRows } from '../../dist/evaluate/unit-rows.js';
import { Random } from '../../dist/random.js';
import { estimateOf, mixed, sampleUpTo } from '../../dist/studio/estimate.js';
import { learn, propose } from '../../dist/studio/lesson.js';
import { keptViews } from '../../dist/techniques/closed-form/views.js';
import { open, root, take } from '../frozen-features.js';

const { values } = parseArgs({
  options: {
    replays: { type: 'string', default: '50' },
    sets: { type: 'string', default: 'hymenoptera,scenes,flowers' },
    images: { type: 'string', default: '400' },
    labels: { type: 'string', default: '80' },
    batch: { type: 'string', default: '20' },
    accept: { type: 'string' },
  },
});
const [replays, images, labels, batch] = ['replays', 'images', 'labels', 'batch'].map((name) => Number(values[name]));
const accept = values.accept === undefined ? Infinity : Number(values.accept);
const sets = values.sets.split(',');
/** Images of val at most. */
const most = 300;
const engine = await createEngine('ort', { threads: 1 });

/** What is known once a person has labelled what was proposed, batch after batch. */
async function replay(set, seed) {
  const { train, val } = await open(set, ['mobilenetv2-1.0-224']);
  const random = new Random(seed, 'replays');
  const some = (of, most) => take(of, random.shuffle([...of.samples.keys()]).slice(0, most));
  const parts = [some(train, images), some(val, most)];
  const samples = parts.flatMap((part) => part.samples);
  const layers = parts[0].layers.map(({ features, size }, i) => ({
    features: Float32Array.from([...features, ...parts[1].layers[i].features]),
    size,
  }));
  const ids = [...samples.keys()],
    unseen = ids.slice(parts[0].samples.length);
  const classes = 1 + Math.max(...samples.map(({ label }) => label));
  const unit = unitRows(layers[0].features, layers[0].size);
  const sight = { samples, layers, ids, unit, views: keptViews(engine, [layers]) };
  const order = random.shuffle(ids.slice(0, unseen[0]));
  const known = new Int32Array(ids.length).fill(-1),
    sample = new Set();
  let lesson, strange;
  const teach = async (aside) =>
    (lesson = await learn(engine, sight, { ...used(known, classes), skipped: unseen }, aside));
  for (let given = 0; ; given += batch) {
    await teach(strange);
    const { names } = used(known, classes);
    for (const { id, label, confidence } of lesson.learned.predictions)
      if (id < unseen[0] && !sample.has(id) && confidence >= accept && samples[id].label === names[label])
        known[id] = samples[id].label;
    if (given >= labels) {
      await teach();
      return outcome(lesson, { samples, known, sample, unseen });
    }
    if (accept < Infinity && given > 0) await teach(strange);
    const next = await propose(engine, sight, lesson, 60);
    strange = next.strange;
    const free = (id) => known[id] < 0;
    const waiting = order.filter(free);
    const chosen = next.proposed.proposals.filter(({ id }) => free(id));
    const proposals = mixed(chosen, waiting, { answered: given, count: batch });
    const drawn = proposals.flatMap(({ id, why }) => (why === 'random' ? [id] : []));
    for (const id of sampleUpTo(drawn, order, (one) => known[one] >= 0)) sample.add(id);
    for (const { id } of proposals) known[id] = samples[id].label;
  }
}

/** Classes that have labels, numbered from 0, as the studio learns them. */
function used(known, classes) {
  const names = [...Array(classes).keys()].filter((c) => known.includes(c));
  return { labels: known.map((c) => (c < 0 ? -1 : names.indexOf(c))), classes: names.length, names };
}

function outcome({ learned: { predictions, heldOut } }, { samples, known, sample, unseen }) {
  const { names } = used(known, samples.length);
  const said = new Map(heldOut.map(({ id, label }) => [id, names[label]]));
  const estimate = estimateOf([...sample].map((id) => ({ label: samples[id].label, said: said.get(id) })));
  const isRight = ({ id, label }) => id >= unseen[0] && samples[id].label === names[label];
  const { accuracy, interval, images: count } = estimate;
  return { accuracy, interval, images: count, truth: predictions.filter(isRight).length / unseen.length };
}

const file = join(root, 'results', 'replays.json');
const read = () => (existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : {});
const how = [`${images} images`, `${labels} labels`, `${batch} at a time`].join(', ');
const setting = accept < Infinity ? `${how}, suggestions of ${100 * accept}% accepted` : how;
const percent = (x) => (100 * x).toFixed(1);
for (const set of sets) {
  let covered = 0;
  for (let seed = 0; seed < replays; seed++) {
    const latest = read();
    const made = latest[setting]?.[set]?.[seed] ?? (await replay(set, seed));
    const ofSet = { ...latest[setting]?.[set], [seed]: made };
    writeFileSync(file, `${JSON.stringify({ ...latest, [setting]: { ...latest[setting], [set]: ofSet } }, null, 1)}\n`);
    const { accuracy, interval, images: count, truth } = made;
    const isIn = interval[0] <= truth && truth <= interval[1];
    covered += Number(isIn);
    console.log(
      `${set} ${seed}: ${percent(accuracy)}% of ${count} (${interval.map(percent).join(' to ')}), ` +
        `truth ${percent(truth)}%${isIn ? '' : ': NOT COVERED'}; ${covered} of ${seed + 1}`,
    );
  }
}
await engine.close();
