import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { differentiate } from '../graph/autodiff.js';
import { GraphBuilder } from '../graph/builder.js';
import { evaluateGraph } from '../graph/evaluate.js';
import type { Value } from '../graph/graph.js';
import { float32, type Tensor } from '../tensor.js';
import { math, type GraphMath } from '../graph/math.js';
import { refused } from '../testing/kit.js';
import { correctCount, distillationLoss, lossNames, mixedLoss, smoothTargets, type LossMix } from './losses.js';

interface Fixture {
  readonly losses: {
    readonly logits: number[];
    readonly targets: number[];
    readonly teacher: number[];
    readonly cases: Record<string, { value: number; gradient: number[] }>;
  };
}
const { losses } = JSON.parse(
  readFileSync(new URL('../../fixtures/train/torch.json', import.meta.url), 'utf8'),
) as Fixture;

type Build = (m: GraphMath, logits: Value, targets: Value, teacher: Value) => Value;

function evaluate(build: Build, feeds: Record<string, Tensor>, gradient = true): Record<string, Tensor> {
  const builder = new GraphBuilder('loss');
  const dims = feeds['logits']!.dims;
  const [logits, targets, teacher] = ['logits', 'targets', 'teacher'].map((name) =>
    builder.input(name, 'float32', dims),
  ) as [Value, Value, Value];
  const value = build(math(builder), logits, targets, teacher);
  builder.outputs(gradient ? { value, gradient: differentiate(builder, value, [logits])[0]! } : { value });
  return evaluateGraph(builder.build(), { teacher: feeds['logits']!, ...feeds });
}

const feeds = {
  logits: float32([5, 4], losses.logits),
  targets: float32([5, 4], losses.targets),
  teacher: float32([5, 4], losses.teacher),
};

const builds: Record<string, Build> = {
  ...Object.fromEntries(
    lossNames.map((name): [string, Build] => [
      name,
      (m, logits, targets) => m.meanBatch(mixedLoss(m, logits, targets, { [name]: 1 })),
    ]),
  ),
  'cross-entropy, label smoothing 0.1': (m, logits, targets) =>
    m.meanBatch(mixedLoss(m, logits, smoothTargets(m, targets, 0.1), { 'cross-entropy': 1 })),
  'distillation, temperature 4': (m, logits, _, teacher) => m.meanBatch(distillationLoss(m, logits, teacher, 4)),
};

assert.deepEqual(Object.keys(builds).sort(), Object.keys(losses.cases).sort());
for (const [name, { value, gradient }] of Object.entries(losses.cases)) {
  test(`losses: ${name} and its gradient equal PyTorch's`, () => {
    const outputs = evaluate(builds[name]!, feeds);
    const got = outputs['value']!.data[0] as number;
    assert.ok(Math.abs(got - value) < 2e-6 * Math.abs(value), `${got}, PyTorch ${value}`);
    const largest = Math.max(...gradient.map(Math.abs));
    (outputs['gradient']!.data as Float32Array).forEach((x, i) =>
      assert.ok(Math.abs(x - gradient[i]!) < 2e-6 * largest, `gradient ${i}: ${x}, PyTorch ${gradient[i]}`),
    );
  });
}

test('losses: huge logits stay finite, values and gradients', () => {
  const extreme = {
    logits: float32([2, 3], [1e4, -1e4, 0, -3e4, 3e4, 3e4]),
    targets: float32([2, 3], [1, 0, 0, 0, 1, 0]),
  };
  for (const name of lossNames) {
    const outputs = evaluate(builds[name]!, extreme);
    assert.ok(
      [...(outputs['gradient']!.data as Float32Array), outputs['value']!.data[0] as number].every(Number.isFinite),
      name,
    );
  }
});

test('losses: a mix is the weighted sum', () => {
  const value = (mix: LossMix): number =>
    evaluate((m, logits, targets) => m.meanBatch(mixedLoss(m, logits, targets, mix)), feeds, false)['value']!
      .data[0] as number;
  const mixed = value({ 'cross-entropy': 1, 'brier': 0.5, 'focal': 0 });
  assert.ok(Math.abs(mixed - value({ 'cross-entropy': 1 }) - 0.5 * value({ brier: 1 })) < 1e-5);
});

test('losses: right predictions are counted', () => {
  const targets = float32([4, 3], [1, 0, 0, 0, 1, 0, 0, 0, 1, 0.2, 0.3, 0.5]);
  const logits = float32([4, 3], [2, 1, 0, 2, 1, 0, 0, 1, 2, 0, 0, 9]);
  assert.equal(
    evaluate((builder, x, t) => correctCount(builder, x, t), { logits, targets }, false)['value']!.data[0],
    3,
  );
});

test('losses: wrong names and weights are refused', () => {
  const refuses = (mix: unknown, pattern: RegExp): void =>
    assert.throws(
      () => evaluate((m, logits, targets) => mixedLoss(m, logits, targets, mix as LossMix), feeds, false),
      refused('usage', pattern),
    );
  refuses({ crossentropy: 1 }, /"crossentropy": unknown; give one of cross-entropy/);
  refuses({ toString: 1 }, /unknown/);
  refuses({ 'cross-entropy': NaN }, /weight NaN/);
  refuses({}, /no loss/);
  assert.throws(() => evaluate((m, _, targets) => smoothTargets(m, targets, 1), feeds, false), /label smoothing 1/);
});
