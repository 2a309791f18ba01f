import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { Engine } from '../engine/engine.js';
import { createDnnlEngine } from '../engine/onednn/index.js';
import { createOrtEngine } from '../engine/ort/index.js';
import { createReferenceEngine } from '../engine/reference/index.js';
import { bfloat16Distance, compare, fixtureNames, loadGraph, readFixture } from '../testing/compatibility.js';
import { allBfloat16, withoutBfloat16, withoutDnnl } from '../testing/onednn.js';

const engines: Partial<Record<string, Engine>> = {};
after(async () => {
  for (const engine of Object.values(engines)) await engine?.close();
});

/** Ours may be this many times as far from float64 as PyTorch's float32. */
const factor = 3;
/** Large or deep ones, of whose ops others have all: run where nothing may be skipped. */
const long = new Set(['convnext', 'densenet', 'inception', 'resnext', 'swin', 'vgg', 'wide_resnet']);
const everything = process.env['PUPIL_NO_SKIPS'] === '1';
const modes = ['trained', 'frozen'] as const;

/**
 * Whose largest error is beyond the factor with Winograd's rounding (its median is not): compared
 * without it, as PyTorch computes.
 */
const withoutWinograd = new Set(['inception']);

const inFloat32 = [
  { title: 'onnxruntime', without: false, start: () => createOrtEngine({ threads: 2 }) },
  { title: 'oneDNN', without: withoutDnnl, start: () => createDnnlEngine({ threads: 2 }) },
  {
    title: 'oneDNN without Winograd',
    without: withoutDnnl,
    start: () => createDnnlEngine({ threads: 2, choices: { convolutions: 'direct' } }),
  },
] as const;
const isMeant = (title: string, name: string): boolean =>
  title === 'onnxruntime' || (title === 'oneDNN') !== withoutWinograd.has(name);

for (const name of fixtureNames()) {
  const fixture = readFixture(name);
  const skip = !everything && long.has(name) && 'takes long; PUPIL_NO_SKIPS=1 runs it';
  for (const graph of fixture.graphs) {
    const about = `${fixture.family}, ${graph.exporter} opset ${graph.opset}`;
    for (const { title, without, start } of inFloat32.filter((entry) => isMeant(entry.title, name))) {
      test(`${about}: updates by ${title} equal PyTorch's`, { skip: without || skip }, async () => {
        const engine = (engines[title] ??= await start());
        const loaded = loadGraph(fixture, graph);
        for (const mode of modes) {
          const {
            max,
            parameter,
            float32,
            losses: [loss, expected],
            statistics,
          } = await compare(engine, loaded, mode);
          assert.ok(
            Math.abs(loss - expected) < 1e-4 * Math.max(1, expected),
            `${mode}: loss ${loss}, PyTorch ${expected}`,
          );
          // Which side of a kink an activation falls on may depend on the order of sums, and so on
          // the machine: PyTorch in its worst order.
          const limit = Math.max(float32.max, ...Object.values(fixture[mode].float32.spread));
          assert.ok(
            max <= factor * limit,
            `${mode}: the update of ${parameter} off by ${max.toExponential(2)}, ` +
              `PyTorch's in float32 by ${limit.toExponential(2)}`,
          );
          assert.ok((statistics ?? 0) < 1e-4, `${mode}: running statistics off by ${statistics}`);
        }
      });
    }
    // bfloat16 has 8 bits: the largest of some hundred parameters is a draw of that noise, their
    // median is not
    test(
      `${about}: updates in bfloat16 are as far from float64 as PyTorch's in bfloat16`,
      { skip: withoutBfloat16 || skip },
      async () => {
        const engine = (engines['bfloat16'] ??= await createDnnlEngine({
          threads: 2,
          precision: 'bf16',
          choices: allBfloat16,
        }));
        const loaded = loadGraph(fixture, graph);
        for (const mode of modes) {
          const { max, parameter, median, gradient } = await compare(engine, loaded, mode),
            theirs = bfloat16Distance(name, fixture, mode);
          assert.ok(
            max <= factor * theirs.max,
            `${mode}: the update of ${parameter} off by ${max.toExponential(2)}, ` +
              `PyTorch's by ${theirs.max.toExponential(2)}`,
          );
          assert.ok(
            median <= 1.5 * theirs.median,
            `${mode}: updates off by ${median.toExponential(2)} (median), ` +
              `PyTorch's by ${theirs.median.toExponential(2)}`,
          );
          assert.ok(
            median >= theirs.median / 3,
            `${mode}: updates off by only ${median.toExponential(2)}: not computed in bfloat16`,
          );
          if (!gradient || !theirs.gradient) continue;
          assert.ok(
            gradient.median <= 1.5 * theirs.gradient.median,
            `${mode}: gradients off by ${gradient.median.toExponential(2)} (median), ` +
              `PyTorch's by ${theirs.gradient.median.toExponential(2)}`,
          );
        }
      },
    );
  }
}

/**
 * Small ones, one of each kind, on the reference engine, which computes in double precision and
 * needs no rounding to be excused.
 */
for (const name of ['shufflenet', 'mnasnet', 'efficientnet']) {
  const fixture = readFixture(name);
  test(`${fixture.family} in double precision: updates equal PyTorch's to 1e-6`, async () => {
    const reference = createReferenceEngine({ float64: true });
    const { max, parameter, statistics } = await compare(reference, loadGraph(fixture, fixture.graphs[0]!), 'trained');
    assert.ok(max < 1e-6, `the update of ${parameter} off by ${max.toExponential(2)}`);
    assert.ok((statistics ?? 0) < 1e-5, `running statistics off by ${statistics}`);
  });
}
