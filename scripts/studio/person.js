// Plays a person with unlabelled photos at the studio: true labels, two seconds a label, what the studio
// proposes next, `learn` at the end; beside somebody who labels as many images at random, and the model of
// all labels. `node scripts/studio/person.js SET... [--images 200] [--labels 60] [--batch 10] [--minutes 3]
// [--seeds 0] [--accept 0.9]`; accuracy is on val, `heldOut` what the training says of itself. With `--accept` the
// person also accepts, after each batch, the right ones of the suggestions that are so sure. Needs the images
// and weights that docs/results.md names.
import { parseArgs } from 'node:util';
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Random } from '../../dist/random.js';
import { startStudio } from '../../dist/studio/server.js';
import { openWindow } from '../../dist/testing/studio-client.js';
import { root, shared, unlabelled, withoutLabels } from './folder.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    images: { type: 'string', default: '200' },
    labels: { type: 'string', default: '60' },
    batch: { type: 'string', default: '10' },
    minutes: { type: 'string', default: '3' },
    seeds: { type: 'string', default: '0' },
    accept: { type: 'string' },
    only: { type: 'string', default: 'studio,random,all' },
  },
});
const model = backbone();
const secondsALabel = 2;
const main = join(root, 'dist/cli/main.js');

/** The backbone beside a file that says how it wants its images. */
function backbone() {
  const folder = join(root, '.cache', 'results', 'studio', 'backbone');
  mkdirSync(folder, { recursive: true });
  copyFileSync(join(shared, 'models/mobilenetv2-1.0-224.onnx'), join(folder, 'model.onnx'));
  const half = [0.5, 0.5, 0.5];
  writeFileSync(
    join(folder, 'preprocessor_config.json'),
    JSON.stringify({
      image_mean: half,
      image_std: half,
      do_normalize: true,
      do_rescale: true,
      do_resize: true,
      size: { height: 224, width: 224 },
    }),
  );
  return join(folder, 'model.onnx');
}

/** Accuracy on val, of a model that `learn` made. */
function accuracyOf(run, set) {
  const images = join(shared, 'data', set, 'val');
  const told = execFileSync(process.execPath, [main, 'evaluate', run, images, '--json'], { maxBuffer: 2 ** 28 });
  return JSON.parse(told).top1;
}

/** Labels `wanted` images, chosen by the studio, or at random, and has `learn` train on them. */
async function play(set, seed, how) {
  const { folder, truth } = unlabelled(set, Number(values.images), seed);
  withoutLabels(folder);
  const opened = performance.now();
  const studio = await startStudio({ folder, model });
  const window = await openWindow(studio.address);
  const images = await window.get('/api/images');
  const until = async (get, isThere) => {
    for (;;) {
      const value = await get();
      if (isThere(value)) return value;
      await sleep(100);
    }
  };
  await until(
    () => window.get('/api/assistant'),
    ({ waiting }) => waiting?.startsWith('Label') === true,
  );
  const wanted = how === 'all' ? images.length : Number(values.labels);
  const drawn = new Random(seed, 'a person at random').shuffle(images.map(({ id }) => id));
  let labelling = 0;
  for (let given = 0; given < wanted;) {
    const count = how === 'all' ? wanted : Math.min(Number(values.batch), wanted - given);
    const ids =
      how === 'studio'
        ? (await window.get(`/api/next?count=${count}`)).map(({ id }) => id)
        : drawn.slice(given, given + count);
    if (ids.length === 0) break; // the others were accepted
    const changes = ids.map((id) => ({ id, was: null, to: truth[images[id].path], source: 'person' }));
    const { value } = await window.post('/api/labels', changes);
    await until(
      () => window.get('/api/assistant'),
      ({ version }) => version >= value.version,
    );
    if (how === 'studio' && values.accept !== undefined) {
      const { predictions } = await window.get('/api/assistant');
      const sure = predictions
        .filter(({ id, label, confidence }) => confidence >= Number(values.accept) && truth[images[id].path] === label)
        .map(({ id, label }) => ({ id, was: null, to: label, source: 'accepted' }));
      await window.post('/api/labels', sure);
    }
    given += ids.length;
    labelling += secondsALabel * ids.length;
  }
  const { estimate } = await window.get('/api/assistant');
  const { labels } = await window.get('/api/labels');
  const accepted = labels.filter(({ source }) => source === 'accepted').length;
  const { status, value: run } = await window.post('/api/runs', {
    command: 'learn',
    options: { minutes: Number(values.minutes) },
  });
  if (status !== 200) throw new Error(JSON.stringify(run));
  const ended = await until(
    () => window.get(`/api/runs/${run.name}`),
    ({ state }) => state !== 'running' && state !== 'waiting',
  );
  if (ended.state !== 'finished') throw new Error(ended.message);
  const minutes = ((performance.now() - opened) / 1000 + labelling) / 60;
  await studio.close();
  const accuracy = accuracyOf(join(folder, '.pupil/runs', run.name), set);
  const { accuracy: fair, interval, measuredOn, ofAll } = ended;
  const heldOut = { accuracy: fair, interval, measuredOn, ofAll };
  return { set, seed, how, labels: wanted, accepted, minutes, accuracy, heldOut, estimate };
}

const out = join(root, '.cache', 'results', 'studio');
mkdirSync(out, { recursive: true });
for (const seed of values.seeds.split(',').map(Number))
  for (const set of positionals)
    for (const how of values.only.split(',')) {
      const row = await play(set, seed, how);
      console.log(JSON.stringify(row));
      writeFileSync(join(out, `person-${set}-${seed}-${how}.json`), JSON.stringify(row));
    }
