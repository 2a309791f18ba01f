// Time of one training step: node bench/step.js MODEL [--engine ort|onednn] [--batch 32] [--size
// 224] [--steps 8] [--threads 2] [--profile FILE]
import { parseArgs } from 'node:util';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    batch: { type: 'string', default: '32' },
    size: { type: 'string' },
    steps: { type: 'string', default: '8' },
    threads: { type: 'string' },
    profile: { type: 'string' },
    dist: { type: 'string', default: '../dist' },
    classes: { type: 'string', default: '10' },
    plain: { type: 'boolean', default: false },
    optimizer: { type: 'string', default: 'sgd' },
    freeze: { type: 'boolean', default: false },
    average: { type: 'boolean', default: false },
    engine: { type: 'string', default: 'ort' },
    precision: { type: 'string', default: 'f32' },
  },
});
const part = (path) => import(new URL(`${values.dist}/${path}`, import.meta.url));
const { resolveModel } = await part('models/index.js');
const { parameterGroups } = await part('models/groups.js');
const { buildTrainingStep } = await part('train/step.js');
const { createEngine } = await part('engine/index.js');
const { Random } = await part('random.js');

const batch = Number(values.batch);
const classes = Number(values.classes);
const labels = Array.from({ length: classes }, (_, i) => `class ${i}`);
const model = await resolveModel(positionals[0] ?? 'resnet18-small', {
  labels,
  classes,
  seed: 1,
  ...(values.size ? { size: Number(values.size) } : {}),
});
const [height, width] = model.preprocessing.size;
const groups = parameterGroups(model, { lr: 0.01, weightDecay: 1e-4 });
const step = buildTrainingStep(model, {
  batchSize: batch,
  groups,
  seed: 1,
  optimizer: { name: values.optimizer, ...(values.optimizer === 'sgd' ? { momentum: 0.9 } : {}) },
  batchNormalization: values.freeze ? 'frozen' : 'train',
  ...(values.average ? { average: { decay: 0.999 } } : {}),
});
const engine = await createEngine(values.engine, {
  precision: values.precision,
  ...(values.threads ? { threads: Number(values.threads) } : {}),
  ...(values.profile ? { profile: values.profile } : {}),
  ...(values.plain ? { choices: { block: 0 } } : {}),
});
const started = performance.now();
const program = await engine.compile(step.main.graph, { state: step.main.state });
const compiled = performance.now() - started;
await engine.write(step.initialState);

const random = new Random(1, 'bench');
const pixels = Uint8Array.from({ length: batch * height * width * 3 }, () => random.integer(256));
const targets = new Float32Array(batch * classes);
for (let i = 0; i < batch; i++) targets[i * classes + (i % classes)] = 1;
const times = [];
const losses = [];
const processor = [];
const resident = [];
for (let i = 0; i < Number(values.steps) + 2; i++) {
  const from = performance.now();
  const cpu = process.cpuUsage();
  const position = { step: i, microStep: 0, learningRate: 0.01, total: 100 };
  const { loss } = await program.run({
    pixels: { dtype: 'uint8', dims: [batch, height, width, 3], data: pixels },
    targets: { dtype: 'float32', dims: [batch, classes], data: targets },
    ...step.main.feeds(position),
  });
  times.push(performance.now() - from);
  const used = process.cpuUsage(cpu);
  resident.push(Math.round(process.memoryUsage.rss() / 2 ** 20));
  processor.push((used.user + used.system) / 1000);
  losses.push(loss.data[0]);
}
const middle = (list) => list.slice(2).sort((a, b) => a - b)[(list.length - 2) >> 1];
const warm = times.slice(2).sort((a, b) => a - b);
console.log(
  JSON.stringify({
    model: model.architecture,
    batch,
    height,
    width,
    engine: engine.description,
    choices: engine.choices,
    nodes: step.main.graph.nodes.length,
    compileSeconds: compiled / 1000,
    stepMilliseconds: {
      least: warm[0],
      median: warm[warm.length >> 1],
      most: warm.at(-1),
      processor: middle(processor),
    },
    losses: losses.slice(0, 10).map((loss) => Number(loss.toFixed(4))),
    residentMegabytes: resident.filter((_, i) => i < 4 || i % 100 === 0 || i === resident.length - 1),
  }),
);
await program.close();
await engine.close();
