// Measures what labelling very many images would take, and prints a plan (docs/scale.md):
//
//   node scripts/scale.js --model RUN --images FOLDER [--shards 4] [--json FILE]
//
// Every number is of this machine: images a second in one process, seconds that a shard takes before its
// first image, the time of n shards one after the other over that of one process, rows merged a second.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    images: { type: 'string' },
    shards: { type: 'string', default: '4' },
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

/** Runs a command; its result and the seconds that it took from start to end. */
function pupil(...words) {
  const started = performance.now();
  const out = execFileSync(process.execPath, [program, ...words, '--json'], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
    maxBuffer: 2 ** 28,
  });
  return { result: JSON.parse(out), seconds: (performance.now() - started) / 1000 };
}

try {
  const options = ['--model', values.model, '--threshold', '0'];
  if (values.threads !== undefined) options.push('--threads', values.threads);
  const label = (...more) => pupil('pseudo-label', values.images, ...options, ...more);
  label('--out', at('warm.parquet')); // decoded images and kernels are found in the caches from now on
  const whole = label('--out', at('whole.parquet'));
  const parts = Array.from({ length: shards }, (_, i) => label('--shard', `${i + 1}/${shards}`, '--out', at('parts')));
  const merged = pupil('pseudo-label', '--merge', at('parts'), '--out', at('merged.parquet'));
  const again = label('--shard', `1/${shards}`, '--out', at('parts'));
  if (!readFileSync(at('merged.parquet')).equals(readFileSync(at('whole.parquet'))))
    throw new Error('the merged file is another one');
  const sum = parts.reduce((all, { seconds }) => all + seconds, 0);
  const images = whole.result.total;
  // Two equations of time = start + images / rate.
  const start = Math.max(0, (sum - whole.seconds) / Math.max(1, shards - 1));
  const rate = images / Math.max(1e-9, whole.seconds - start);
  const measured = {
    machine: { processor: cpus()[0]?.model, cores: cpus().length, node: process.version },
    images,
    shards,
    wholeSeconds: whole.seconds,
    shardsSeconds: sum,
    overhead: sum / whole.seconds - 1,
    startSeconds: start,
    imagesPerSecond: rate,
    repeatedShardSeconds: again.seconds,
    mergeSeconds: merged.seconds,
    bytesPerRow: statSync(at('merged.parquet')).size / images,
  };
  const plan = [1, 8, 64, 512].map((machines) => ({
    machines,
    shardsOfEach: Math.ceil(planned / (machines * rate * 3600)),
    hours: planned / (rate * machines) / 3600,
  }));
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify({ measured, plan }, null, 2)}\n`);
  console.log(`${images} images: ${rate.toFixed(1)} images/s, ${start.toFixed(1)} s before the first`);
  console.log(`${shards} shards take ${(100 * measured.overhead).toFixed(1)}% more time than one process`);
  console.log(`a shard that is done: ${again.seconds.toFixed(1)} s; merging: ${merged.seconds.toFixed(1)} s`);
  console.log(`130 million images: ${((planned * measured.bytesPerRow) / 1e9).toFixed(1)} GB of labels, and`);
  for (const { machines, hours, shardsOfEach } of plan)
    console.log(`  ${machines} machines: ${hours.toFixed(1)} h (about ${shardsOfEach} shards of an hour each)`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
