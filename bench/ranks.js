// What ranks cost on one machine: 2 ranks of 1 thread against 1 rank of 2 threads, in turns, by model; the shares of
// a step that go to exchanges and to copies; the exchange alone by size of the buckets. See docs/scale.md.
//
//   node bench/ranks.js [MODEL:SIZE:BATCH...] [--rounds 3] [--steps 6] [--engine auto] [--json FILE]
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { header } from './harness/store.js';
import { median } from './harness/statistics.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: 'string', default: '3' },
    steps: { type: 'string', default: '6' },
    engine: { type: 'string', default: 'auto' },
    json: { type: 'string' },
  },
});
const child = fileURLToPath(new URL('ranks-step.js', import.meta.url));
const launcher = ['mpirun', '--allow-run-as-root', '--oversubscribe', '--bind-to', 'none', '-n', '2'];

/** Runs steps as one process or as two ranks. */
function measure([model, size, batch], { ranks, more = [] }) {
  const own = [process.execPath, child, model, size, batch, String(2 / ranks), values.steps, values.engine, ...more];
  const [command, ...words] = ranks === 1 ? own : [...launcher, ...own];
  const out = execFileSync(command, words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  return JSON.parse(out.trim().split('\n').at(-1));
}

const results = [];
for (const given of positionals.length > 0 ? positionals : ['resnet18:112:32', 'mobilenetv2_100:112:32']) {
  const config = given.split(':');
  const one = [],
    two = [];
  for (let round = 0; round < Number(values.rounds); round++) {
    one.push(measure(config, { ranks: 1 }));
    two.push(measure(config, { ranks: 2, more: round === 0 ? ['--buckets', '1,4,16,64'] : [] }));
  }
  const synchronised = measure(config, { ranks: 2, more: ['--sync-bn'] });
  const of = (runs, kind) => median(runs.map((run) => run[kind]));
  const ratios = one.map(({ step }, i) => step / two[i].step);
  const result = {
    config: given,
    engine: two[0].engine,
    gradients: two[0].bytes,
    seconds: { one: of(one, 'step'), two: of(two, 'step'), synchronised: synchronised.step },
    throughput: { ratio: median(ratios), least: Math.min(...ratios), most: Math.max(...ratios) },
    shares: { exchange: of(two, 'exchange') / of(two, 'step'), copy: of(two, 'copy') / of(two, 'step') },
    buckets: two[0].buckets,
  };
  results.push(result);
  console.log(JSON.stringify(result, null, 1));
}
if (values.json) writeFileSync(values.json, `${JSON.stringify({ ...header(), results }, null, 1)}\n`);
