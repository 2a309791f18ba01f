// The consensus in closed form on Gaussian features: npm run build && node bench/consensus.js
// [IMAGES CLASSES]... [--engine onednn]. Seconds, processor seconds and the largest resident memory;
// by default for 2,000 images of 5 classes (goal: 2 s) and 10,000 of 100 (goal: 60 s and 1 GB).
import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { createEngine } from '../dist/engine/index.js';
import { Random } from '../dist/random.js';
import { consensus } from '../dist/techniques/consensus.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { engine: { type: 'string', default: 'auto' } },
});
const size = 1280;
const labelled = 10; // of each class
const folds = 5;

async function measure(count, classes) {
  const random = new Random(0, 'consensus');
  const centres = Float32Array.from({ length: classes * size }, () => 0.6 * random.normal());
  const features = new Float32Array(count * size);
  for (let i = 0; i < features.length; i++)
    features[i] = Math.abs(centres[(Math.floor(i / size) % classes) * size + (i % size)] + random.normal());
  const truth = Int32Array.from({ length: count }, (_, i) => i % classes);
  const labels = truth.map((label, i) => (i < labelled * classes ? label : -1));
  const lists = Array.from({ length: folds }, (_, fold) =>
    [...labels.keys()].filter((i) => labels[i] >= 0 && Math.floor(i / classes) % folds === fold),
  );
  const engine = await createEngine(values.engine, { purpose: 'evaluation', precision: 'f32' });
  const started = performance.now(),
    before = process.cpuUsage();
  const { probabilities } = await consensus(engine, { networks: [[{ features, size }]], labels, classes }, lists);
  const seconds = (performance.now() - started) / 1000,
    { user, system } = process.cpuUsage(before);
  await engine.close();
  const rows = [...labels.keys()].filter((i) => labels[i] < 0);
  const right = rows.filter((i) => {
    const row = probabilities.subarray(i * classes, (i + 1) * classes);
    return row.indexOf(Math.max(...row)) === truth[i];
  });
  const words = [
    `${count} images, ${classes} classes: ${seconds.toFixed(1)} s`,
    `processor ${((user + system) / 1e6).toFixed(1)} s`,
    `at most ${(process.resourceUsage().maxRSS / 2 ** 20).toFixed(2)} GiB`,
    `${((100 * right.length) / rows.length).toFixed(1)}% right`,
    `${engine.name}, load ${loadavg()[0].toFixed(1)}`,
  ];
  console.log(words.join(', '));
}

const sizes = positionals.length > 0 ? positionals.map(Number) : [2000, 5, 10000, 100];
for (let i = 0; i < sizes.length; i += 2) await measure(sizes[i], sizes[i + 1]);
