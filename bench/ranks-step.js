// Steps of one training by as many ranks as MPI started, or by this process alone; rank 0 writes what they took as
// JSON: node bench/ranks-step.js MODEL SIZE BATCH THREADS STEPS ENGINE [--sync-bn] [--buckets 1,4,16]. See ranks.js.
import { inBuckets } from '../dist/parallel/buckets.js';
import { joinMpi } from '../dist/parallel/mpi/communicator.js';
import { launchedAs } from '../dist/parallel/mpi/launcher.js';
import { alone, createRanks } from '../dist/parallel/ranks.js';
import { createEngine } from '../dist/engine/index.js';
import { resolveModel } from '../dist/models/index.js';
import { parameterGroups } from '../dist/models/groups.js';
import { buildTrainingStep } from '../dist/train/step.js';
import { compileStep } from '../dist/train/runner.js';
import { float32, tensor } from '../dist/tensor.js';
import { median } from './harness/statistics.js';

const [name, ...words] = process.argv.slice(2);
const [size, batch, threads, steps] = words.map(Number);
const engineName = words[4];
const at = process.argv.indexOf('--buckets');
const buckets = at < 0 ? [] : process.argv[at + 1].split(',').map(Number);

const launched = launchedAs();
const communicator = launched && joinMpi(launched);
const ranks = communicator ? createRanks(communicator) : alone;
const classes = 10;
const model = await resolveModel(name, { labels: Array.from({ length: classes }, String), classes, seed: 1, size });
const own = batch / ranks.size;
const step = buildTrainingStep(model, {
  batchSize: own,
  slice: ranks,
  groups: parameterGroups(model, { lr: 0.01, weightDecay: 1e-4 }),
  seed: 1,
  optimizer: { name: 'sgd', momentum: 0.9 },
  syncBatchNormalization: process.argv.includes('--sync-bn'),
});

/** Seconds that one step spends in calls of each kind. */
let spent = { exchange: 0, copy: 0 };
const timed = async (kind, work) => {
  const from = performance.now();
  const result = await work;
  spent[kind] += (performance.now() - from) / 1000;
  return result;
};
const engine = await createEngine(engineName, { threads });
await engine.write(step.initialState);
const runner = await compileStep(
  {
    compile: (graph, options) => engine.compile(graph, options),
    lend: (names) => timed('copy', engine.lend(names)),
    read: (names) => timed('copy', engine.read(names)),
    write: (state, options) => timed('copy', engine.write(state, options)),
  },
  step,
  {
    rank: ranks.rank,
    size: ranks.size,
    sum: (values) => timed('exchange', ranks.sum(values)),
    share: (value) => ranks.share(value),
  },
);
const targets = new Float32Array(own * classes);
for (let i = 0; i < own; i++) targets[i * classes + ((i + ranks.rank) % classes)] = 1;
const pixels = Uint8Array.from({ length: own * size * size * 3 }, (_, i) => (i * 2654435761) % 251);
const feed = {
  prepare: () => undefined,
  take: async () => ({
    files: [],
    feeds: {
      pixels: tensor('uint8', [own, size, size, 3], pixels.slice()),
      targets: float32([own, classes], targets.slice()),
    },
  }),
};
const times = [];
for (let i = -2; i < steps; i++) {
  spent = { exchange: 0, copy: 0 };
  const from = performance.now();
  await runner.run({ step: i + 2, total: steps, learningRate: 1e-3 }, feed);
  if (i >= 0) times.push({ step: (performance.now() - from) / 1000, ...spent });
}
await ranks.end();

// The exchange alone, of arrays as large as the gradients, in buckets of several sizes (MB).
const bytes = [...step.summedOverRanks, ...step.averagedOverRanks].reduce(
  (sum, entry) => sum + 4 * step.initialState.get(entry).data.length,
  0,
);
const alone_ = {};
if (communicator)
  for (const megabytes of buckets) {
    const values = [new Float32Array(bytes / 4)];
    const runs = [];
    for (let i = -1; i < 5; i++) {
      const from = performance.now();
      await inBuckets(values, (bucket) => communicator.allReduce(bucket), {
        most: (megabytes * 2 ** 20) / 4,
        large: 0,
      });
      if (i >= 0) runs.push((performance.now() - from) / 1000);
    }
    alone_[megabytes] = median(runs);
  }
if (ranks.leads)
  console.log(
    JSON.stringify({
      engine: engine.description,
      bytes,
      ...Object.fromEntries(['step', 'exchange', 'copy'].map((kind) => [kind, median(times.map((one) => one[kind]))])),
      buckets: alone_,
    }),
  );
await engine.close();
await communicator?.close();
