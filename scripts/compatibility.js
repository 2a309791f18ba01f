// Measures results/compatibility.md: node scripts/compatibility.js [--engine ort|onednn]
// [--precision f32|bf16] [FAMILY...] (after `npm run build`). Trains every exported network of
// fixtures/compatibility on an engine and compares with PyTorch. Families that are not named,
// and other engines, keep their rows. `--direct` leaves Winograd's convolutions out. With --double
// the reference engine computes one step of each family in double precision instead, which takes
// seconds to minutes each.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';

const root = fileURLToPath(new URL('..', import.meta.url));
const build = pathToFileURL(join(resolve(process.env.PUPIL_BUILD ?? join(root, 'dist')), '/')).href;
const { bfloat16Distance, compare, fixtureNames, loadGraph, readFixture } = await import(
  new URL('testing/compatibility.js', build).href
);
const { createEngine } = await import(new URL('engine/index.js', build).href);
const {
  values: { double, direct, engine: engineName, precision },
  positionals: wanted,
} = parseArgs({
  allowPositionals: true,
  options: {
    engine: { type: 'string', default: 'ort' },
    precision: { type: 'string', default: 'f32' },
    double: { type: 'boolean', default: false },
    direct: { type: 'boolean', default: false },
  },
});
const halved = precision === 'bf16';

const page = join(root, 'results', 'compatibility.md');
const before = existsSync(page) ? readFileSync(page, 'utf8') : '';
// Measured by scripts/families, by hand.
const swept = before.includes('\n## Families') ? before.slice(before.indexOf('\n## Families')) : '';
const cells = (line) =>
  line
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim());
const rows = new Map(),
  halvedRows = new Map();
/** What a row is about: its first five cells. */
const rowOf = (line) => cells(line).slice(0, 5).join(' ');
for (const line of before.split('\n'))
  if (/ (trained|frozen) \|/.test(line))
    (cells(line)[3].includes('bfloat16') ? halvedRows : rows).set(rowOf(line), line);

// Everything in bfloat16, however small or fast otherwise: what is measured is its rounding.
const choices = halved ? { bfloat16From: 1, convolutions: 'bfloat16' } : direct ? { convolutions: 'direct' } : {};
const engine = await (double
  ? createEngine('reference', { float64: true })
  : createEngine(engineName, { threads: 2, precision, choices }));
const title = double
  ? 'reference, in double'
  : `${engineName === 'ort' ? 'onnxruntime' : 'oneDNN'}${halved ? ' bfloat16' : direct ? ', direct' : ''}`;
const show = (value) => (value === undefined ? '' : value.toExponential(1));
const made = [];
for (const name of fixtureNames()) {
  const fixture = readFixture(name);
  made[0] =
    `PyTorch ${fixture.made.torch.replace(/\+.*/, '')}, torchvision ` +
    `${fixture.made.torchvision.replace(/\+.*/, '')}`;
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  for (const graph of double ? fixture.graphs.slice(0, 1) : fixture.graphs) {
    const loaded = loadGraph(fixture, graph);
    for (const mode of double ? ['trained'] : ['trained', 'frozen']) {
      const { max, parameter, median, float32, gradient, losses } = await compare(engine, loaded, mode);
      const about = [fixture.family, fixture.model, `${graph.exporter} ${graph.opset}`, title, mode];
      let line;
      if (halved) {
        const theirs = bfloat16Distance(name, fixture, mode);
        line = [
          ...about,
          show(max),
          show(theirs.max),
          (max / theirs.max).toFixed(2),
          show(median),
          show(theirs.median),
          (median / theirs.median).toFixed(2),
          show(Math.abs(losses[0] - losses[1])),
          show(theirs.loss),
          parameter,
        ];
      } else {
        line = [
          ...about,
          show(max),
          show(float32.max),
          (max / float32.max).toFixed(2),
          show(median),
          show(float32.median),
          show(gradient?.median),
          show(gradient?.float32.median),
          parameter,
        ];
      }
      line = `| ${line.join(' | ')} |`;
      (halved ? halvedRows : rows).set(rowOf(line), line);
      console.error(line);
    }
  }
}
const { description } = engine;
await engine.close();

const ort = JSON.parse(readFileSync(join(root, 'node_modules/pupil-onnxruntime/package.json'), 'utf8')).version;
const dnnl = /oneDNN \d[\d.]*/.exec(description)?.[0] ?? /oneDNN \d[\d.]*\d/.exec(before)?.[0];
const sorted = (map) => [...map.values()].sort((a, b) => a.localeCompare(b, 'en')).join('\n');
writeFileSync(
  page,
  `# Compatibility

Networks as ${made[0]} defines them, exported to ONNX, imported here and trained: one step of SGD with momentum \
0.9 on batch statistics (\`trained\`), three
with the running statistics (\`frozen\`; the networks without batch normalisation do the same arithmetic in both). \
Each parameter's update u is compared with
PyTorch's in float64, over 64 sampled entries:

    |u - u64| / (|u64| + 1e-3 * the largest per-element rms update * sqrt(n))

\`max\` is the largest over all parameters, \`median\` the middle one; the columns named float32 are PyTorch's own \
values in float32 on the same fixture, \`ratio\` is
max over max (goal: at most 3). Most of an update's error is the rounding of the parameter it is added to, the \
same for both; the gradient
columns (median, after one step) leave it out. Where ReLU networks are deep, a single activation that rounding \
puts on the other side of 0 gives 1e-3 to 1e-2:
the rows \`in double\` (the same graphs, gradients and optimizer on the reference engine in double precision) \
leave that out too.
How the fixtures are made: [fixtures/compatibility](../fixtures/compatibility/README.md).

oneDNN computes 3x3 convolutions by Winograd where that is faster, with a rounding about 1e-6 larger; \`direct\` \
is without. One family, Inception v3 on batch statistics, is
beyond 3 with Winograd, and only in its largest error: the medians, with it and without, are PyTorch's; the test \
takes that family without Winograd.

onnxruntime ${ort}${dnnl ? `, ${dnnl}` : ''} on ${cpus()[0].model.trim()}, 2 of ${availableParallelism()} threads, \
Node ${process.version}. Again: \`npm run build && node scripts/compatibility.js\`, \`--engine onednn\`.

| family | network | exporter, opset | engine | batch norm | max | max float32 | ratio | median | median float32 | gradient | gradient float32 | parameter |
|---|---|---|---|---|---|---|---|---|---|---|---|---|
${sorted(rows)}

## bfloat16

The same yardstick, still from float64, of training in bfloat16: \`node scripts/compatibility.js --engine onednn \
--precision bf16\`. Every convolution and product, however
small, was told to be in bfloat16 (\`choices: { bfloat16From: 1, convolutions: 'bfloat16' }\`). PyTorch's own \
values are those of \`torch.autocast\` with weights in float32,
the largest over three orders of its sums (\`bfloat16.py\` beside the fixtures). \`loss\` is the error of the \
first step's. bfloat16 has 8 bits, so a batch of 4 images is noisy in both,
normalised by its own statistics above all: the median over parameters says more than the largest.

| family | network | exporter, opset | engine | batch norm | max | max PyTorch | ratio | median | median PyTorch | ratio | loss | loss PyTorch | parameter |
|---|---|---|---|---|---|---|---|---|---|---|---|---|---|
${sorted(halvedRows)}
${swept}`,
);
