import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { Engine } from '../engine/engine.js';
import { createOrtEngine } from '../engine/ort/index.js';
import { createReferenceEngine } from '../engine/reference/index.js';
import { compare, fixtureNames, loadGraph, readFixture } from '../testing/compatibility.js';

let engine: Engine | undefined;
after(() => engine?.close());

/** Ours may be this many times as far from float64 as PyTorch's float32. */
const factor = 3;
/** Large or deep ones, of whose ops others have all: run where nothing may be skipped. */
const long = new Set(['convnext', 'densenet', 'inception', 'resnext', 'swin', 'vgg', 'wide_resnet']);
const everything = process.env['PUPIL_NO_SKIPS'] === '1';

for (const name of fixtureNames()) {
  const fixture = readFixture(name);
  for (const graph of fixture.graphs) {
    const skip = !everything && long.has(name) && 'takes long; PUPIL_NO_SKIPS=1 runs it';
    test(`${fixture.family}, ${graph.exporter} opset ${graph.opset}: updates equal PyTorch's`, { skip }, async () => {
      engine ??= await createOrtEngine({ threads: 2 });
      const loaded = loadGraph(fixture, graph);
      for (const mode of ['trained', 'frozen'] as const) {
        const { max, parameter, float32, losses: [loss, expected], statistics } = await compare(engine, loaded, mode);
        assert.ok(Math.abs(loss - expected) < 1e-4 * Math.max(1, expected), `${mode}: loss ${loss}, PyTorch ${expected}`);
        // Which side of a kink an activation falls on may depend on the order of sums, and so on the machine: PyTorch in its worst order.
        const limit = Math.max(float32.max, ...Object.values(fixture[mode].float32.spread));
        assert.ok(max <= factor * limit,
          `${mode}: the update of ${parameter} off by ${max.toExponential(2)}, PyTorch's in float32 by ${limit.toExponential(2)}`);
        assert.ok((statistics ?? 0) < 1e-4, `${mode}: running statistics off by ${statistics}`);
      }
    });
  }
}

/** Small ones, one of each kind, on the reference engine, which computes in double precision and needs no rounding to be excused. */
for (const name of ['shufflenet', 'mnasnet', 'efficientnet']) {
  const fixture = readFixture(name);
  test(`${fixture.family} in double precision: updates equal PyTorch's to 1e-6`, async () => {
    const reference = createReferenceEngine({ float64: true });
    const { max, parameter, statistics } = await compare(reference, loadGraph(fixture, fixture.graphs[0]!), 'trained');
    assert.ok(max < 1e-6, `the update of ${parameter} off by ${max.toExponential(2)}`);
    assert.ok((statistics ?? 0) < 1e-5, `running statistics off by ${statistics}`);
  });
}
