// Measures what labelling very many images would take, and prints a plan (docs/scale.md):
//
//   node scripts/scale.js --model RUN --images FOLDER [--shards 3] [--runs 3] [--json FILE]
//
// Every number is of this machine: images a second in one process, seconds that a shard takes before its
// first image, the time of n shards one after the other over that of one process, what a shard takes that
// finds its part done, the time of merging, bytes of parts. Times are measured twice: by the clock, and in
// processor time, which other work on the machine hardly changes.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    images: { type: 'string' },
    shards: { type: 'string', default: '3' },
    runs: { type: 'string', default: '3' },
    json: { type: 'string' },
    threads: { type: 'string' },
  },
});
if (values.model === undefined || values.images === undefined) {
  console.error('scale: --model RUN and --images FOLDER are needed');
  process.exit(2);
}
const planned = 130e6;
const shards = Number(values.shards);
const program = new URL('../dist/cli/main.js', import.meta.url).pathname;
const folder = mkdtempSync(join(tmpdir(), 'pupil-scale-'));
const at = (name) => join(folder, name);

/** What a process says of itself when it ends: the processor time of all its threads, microseconds. */
const confession = `
  import { writeFileSync } from 'node:fs';
  process.on('exit', () => writeFileSync(process.env.PUPIL_SCALE_CPU, JSON.stringify(process.cpuUsage())));
`;

/** Runs a command; its result, the seconds that it took from start to end, and those of processors. */
function pupil(...words) {
  const started = performance.now();
  const loading = ['--import', `data:text/javascript,${encodeURIComponent(confession)}`];
  const out = execFileSync(process.execPath, [...loading, program, ...words, '--json'], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
    maxBuffer: 2 ** 28,
    env: { ...process.env, PUPIL_SCALE_CPU: at('cpu.json') },
  });
  const { user, system } = JSON.parse(readFileSync(at('cpu.json'), 'utf8'));
  return { result: JSON.parse(out), seconds: (performance.now() - started) / 1000, processor: (user + system) / 1e6 };
}

const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];

/**
 * Of one process over all images and of n shards over the same, in one kind of seconds: two equations of
 * time = start + images / rate.
 */
function ratesOf(kind, { whole, parts, again, merged, images }) {
  const sum = parts.reduce((all, one) => all + one[kind], 0);
  const start = Math.max(0, (sum - whole[kind]) / Math.max(1, parts.length - 1));
  return {
    wholeSeconds: whole[kind],
    shardsSeconds: sum,
    startSeconds: start,
    imagesPerSecond: images / Math.max(1e-9, whole[kind] - start),
    doneShardSeconds: again[kind],
    mergeSeconds: merged[kind],
  };
}

/** The same images in one process, in shards one after the other, merged, and a shard that is done. */
function measure(run, options) {
  const place = (name) => at(`${run}-${name}`);
  const label = (...more) => pupil('pseudo-label', values.images, ...options, ...more);
  const whole = label('--out', place('whole.parquet'));
  const parts = Array.from({ length: shards }, (_, i) =>
    label('--shard', `${i + 1}/${shards}`, '--out', place('parts')),
  );
  const merged = pupil('pseudo-label', '--merge', place('parts'), '--out', place('merged.parquet'));
  const again = label('--shard', `1/${shards}`, '--out', place('parts'));
  if (!readFileSync(place('merged.parquet')).equals(readFileSync(place('whole.parquet'))))
    throw new Error('the merged file is another one');
  const images = whole.result.total;
  const sizes = readdirSync(place('parts')).map((name) => statSync(join(place('parts'), name)).size);
  const all = { whole, parts, again, merged, images };
  return {
    images,
    clock: ratesOf('seconds', all),
    processor: ratesOf('processor', all),
    bytesPerPartRow: sizes.reduce((sum, size) => sum + size, 0) / images,
    bytesPerRow: statSync(place('merged.parquet')).size / images,
  };
}

/** Of each number the median, and the least and the most. */
const spread = (runs) =>
  Object.fromEntries(
    Object.keys(runs[0]).map((name) => {
      const numbers = runs.map((one) => one[name]);
      return [name, { median: median(numbers), least: Math.min(...numbers), most: Math.max(...numbers) }];
    }),
  );

try {
  const options = ['--model', values.model, '--threshold', '0'];
  if (values.threads !== undefined) options.push('--threads', values.threads);
  // Decoded images and kernels are found in the caches from now on.
  pupil('pseudo-label', values.images, ...options, '--out', at('warm.parquet'));
  const runs = Array.from({ length: Number(values.runs) }, (_, run) => measure(run, options));
  const [{ images, bytesPerPartRow, bytesPerRow }] = runs;
  const clock = spread(runs.map((run) => run.clock)),
    processor = spread(runs.map((run) => run.processor));
  const rate = processor.imagesPerSecond.median;
  const start = processor.startSeconds.median;
  const machine = { processor: cpus()[0]?.model, cores: cpus().length, node: process.version };
  // What every shard spends before its first image is 3% of its time with so many images.
  const imagesForThreePercent = Math.ceil((start * rate) / 0.03);
  const measured = { machine, images, shards, runs: runs.length, clock, processor, bytesPerPartRow, bytesPerRow };
  const plan = {
    images: planned,
    imagesForThreePercent,
    coreHours: planned / rate / 3600,
    gigabytesOfParts: (planned * bytesPerPartRow) / 1e9,
    gigabytesOfLabels: (planned * bytesPerRow) / 1e9,
    machines: [1, 8, 32, 128].map((machines) => ({
      machines,
      cores: 8,
      hours: planned / rate / 3600 / (8 * machines),
    })),
  };
  if (values.json !== undefined) {
    // What scripts/scale-index.js measured stays.
    const before = existsSync(values.json) ? JSON.parse(readFileSync(values.json, 'utf8')) : {};
    writeFileSync(values.json, `${JSON.stringify({ ...before, measured, plan }, null, 2)}\n`);
  }
  const seconds = ({ median: middle, least, most }) =>
    `${middle.toFixed(1)} s (${least.toFixed(1)} to ${most.toFixed(1)})`;
  console.log(`${images} images, ${shards} shards, ${runs.length} runs: medians, with the least and the most`);
  for (const [kind, one] of Object.entries({ clock, processor })) {
    console.log(`by the ${kind}: one process ${seconds(one.wholeSeconds)}, shards ${seconds(one.shardsSeconds)}`);
    console.log(`  start ${seconds(one.startSeconds)}, then ${one.imagesPerSecond.median.toFixed(1)} images/s`);
    console.log(`  a shard that is done ${seconds(one.doneShardSeconds)}, merging ${seconds(one.mergeSeconds)}`);
  }
  console.log(`a shard's start is under 3% of its time from ${imagesForThreePercent} images on`);
  console.log(
    `130 million images, by the processor: ${plan.coreHours.toFixed(0)} hours of a core, ` +
      `${plan.gigabytesOfParts.toFixed(1)} GB of parts, ${plan.gigabytesOfLabels.toFixed(1)} GB of labels`,
  );
  for (const { machines, cores, hours } of plan.machines)
    console.log(`  ${machines} machines of ${cores} cores: ${hours.toFixed(1)} h`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
