// Measures results/compatibility.md: node scripts/compatibility.js [FAMILY...] (after `npm run build`). Trains every exported network of
// tests/fixtures/compatibility on onnxruntime and compares with PyTorch. Families that are not named keep their rows. With --double
// the reference engine computes one step of each family in double precision instead, which takes seconds to minutes each.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const build = pathToFileURL(join(resolve(process.env.PUPIL_BUILD ?? join(root, 'dist')), '/')).href;
const { compare, fixtureNames, loadGraph, readFixture } = await import(new URL('testing/compatibility.js', build).href);
const { createOrtEngine } = await import(new URL('engine/ort/index.js', build).href);
const { createReferenceEngine } = await import(new URL('engine/reference/index.js', build).href);
const double = process.argv.includes('--double');
const wanted = process.argv.slice(2).filter((word) => !word.startsWith('--'));

const page = join(root, 'results', 'compatibility.md');
const rowOf = (line) => /^\| ([^|]+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|/.exec(line)?.slice(1).map((cell) => cell.trim()).join(' ');
const rows = new Map();
if (existsSync(page)) {
  for (const line of readFileSync(page, 'utf8').split('\n')) if (/ (trained|frozen) \|/.test(line)) rows.set(rowOf(line), line);
}

const engine = double ? createReferenceEngine({ float64: true }) : await createOrtEngine({ threads: 2 });
const show = (value) => (value === undefined ? '' : value.toExponential(1));
let made = '';
for (const name of fixtureNames()) {
  const fixture = readFixture(name);
  made = `PyTorch ${fixture.made.torch.replace(/\+.*/, '')}, torchvision ${fixture.made.torchvision.replace(/\+.*/, '')}`;
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  for (const graph of double ? fixture.graphs.slice(0, 1) : fixture.graphs) {
    const loaded = loadGraph(fixture, graph);
    for (const mode of double ? ['trained'] : ['trained', 'frozen']) {
      const { max, parameter, median, float32, gradient } = await compare(engine, loaded, mode);
      const line = `| ${fixture.family} | ${fixture.model} | ${graph.exporter} ${graph.opset}${double ? ', in double' : ''} | ${mode} | ${show(max)} | ${show(float32.max)} | ${(max / float32.max).toFixed(2)} | `
        + `${show(median)} | ${show(float32.median)} | ${show(gradient?.median)} | ${show(gradient?.float32.median)} | ${parameter} |`;
      rows.set(rowOf(line), line);
      console.error(line);
    }
  }
}
await engine.close();

const ort = JSON.parse(readFileSync(join(root, 'node_modules/onnxruntime-node/package.json'), 'utf8')).version;
writeFileSync(page, `# Compatibility

Networks as ${made} defines them, exported to ONNX, imported here and trained: one step of SGD with momentum 0.9 on batch statistics (\`trained\`), three
with the running statistics (\`frozen\`; the networks without batch normalisation do the same arithmetic in both). Each parameter's update u is compared with
PyTorch's in float64, over 64 sampled entries:

    |u - u64| / (|u64| + 1e-3 * the largest per-element rms update * sqrt(n))

\`max\` is the largest over all parameters, \`median\` the middle one; the columns named float32 are PyTorch's own values in float32 on the same fixture, \`ratio\` is
max over max (goal: at most 3). Most of an update's error is the rounding of the parameter it is added to, the same for both; the gradient
columns (median, after one step) leave it out. Where ReLU networks are deep, a single activation that rounding puts on the other side of 0 gives 1e-3 to 1e-2:
the rows \`in double\` (the same graphs, gradients and optimizer on the reference engine in double precision) leave that out too.
How the fixtures are made: [tests/fixtures/compatibility](../tests/fixtures/compatibility/README.md).

onnxruntime ${ort} on ${cpus()[0].model.trim()}, 2 of ${availableParallelism()} threads, Node ${process.version}. Again: \`npm run build && node scripts/compatibility.js\`.

| family | network | exporter, opset | batch norm | max | max float32 | ratio | median | median float32 | gradient | gradient float32 | parameter |
|---|---|---|---|---|---|---|---|---|---|---|---|
${[...rows.values()].sort((a, b) => a.localeCompare(b, 'en')).join('\n')}
`);
