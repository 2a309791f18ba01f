import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PupilError } from '../errors.js';
import { assertGradients } from '../testing/differences.js';
import { gradientRows } from '../testing/gradient-rows.js';
import { buildRow, rowName } from '../testing/row-graph.js';
import { float32 } from '../tensor.js';
import { differentiate, trainableThrough } from './autodiff.js';
import { GraphBuilder } from './builder.js';
import { evaluateGraph } from './evaluate.js';
import { gradients, mergeTables, reasons } from './gradients/table.js';
import { rules } from './inference/rules.js';
import { pupilOps } from './inference.js';

for (const row of gradientRows) test(`gradient of ${rowName(row)}`, () => assertGradients(buildRow(row), rowName(row)));

test('every gradient rule has a row of finite differences', () => {
  const tested = new Set(gradientRows.map(({ op }) => op));
  assert.deepEqual(
    [...gradients].filter(([op, entry]) => entry !== 'none' && !tested.has(op)).map(([op]) => op),
    [],
  );
});

test('every op has a gradient, carries none, or says why it has none', () => {
  const ops = [...rules.keys()].filter((op) => !pupilOps.has(op));
  assert.ok(ops.length > 120, `${ops.length} ops`);
  assert.deepEqual(
    ops.filter((op) => gradients.has(op) === reasons.has(op)),
    [],
  );
});

test('a value used twice gets the sum of both gradients', () => {
  const builder = new GraphBuilder(),
    x = builder.input('x', 'float32', [2]);
  const loss = builder.op('ReduceSum', [builder.op('Mul', [x, builder.op('Mul', [x, x])])], { keepdims: 0 });
  builder.outputs([differentiate(builder, loss, [x])[0]!]);
  assert.deepEqual([...Object.values(evaluateGraph(builder.build(), { x: float32([2], [2, -3]) }))[0]!.data], [12, 27]);
});

test('nothing is built for values that nobody asked about', () => {
  const builder = new GraphBuilder(),
    x = builder.input('x', 'float32', [1, 2, 4, 4]);
  const w1 = builder.input('w1', 'float32', [2, 2, 1, 1]),
    w2 = builder.input('w2', 'float32', [2, 2, 1, 1]);
  const hidden = builder.op('Relu', [builder.op('Conv', [x, w1])]);
  const loss = builder.op('ReduceSum', [builder.op('Conv', [hidden, w2])], { keepdims: 0 });
  const before = builder.nodes.length;
  assert.ok(differentiate(builder, loss, [w2])[0]);
  assert.deepEqual(
    builder.nodes.slice(before).map(({ op }) => op),
    ['Reshape', 'Reshape', 'Expand', 'ConvGradWeight'],
  );
});

test('a gradient stops at ops that carry none, and is undefined where the loss does not depend on a value', () => {
  const builder = new GraphBuilder(),
    x = builder.input('x', 'float32', [3]),
    unused = builder.input('unused', 'float32', [3]);
  const mask = builder.op('Cast', [builder.op('Greater', [x, 0])], { to: 1 });
  const loss = builder.op('ReduceSum', [builder.op('Mul', [x, mask])], { keepdims: 0 });
  const [dx, none] = differentiate(builder, loss, [x, unused]);
  assert.equal(none, undefined);
  builder.outputs([dx!]);
  assert.deepEqual(
    [
      ...evaluateGraph(builder.build(), { x: float32([3], [2, -3, 1]), unused: float32([3], [0, 0, 0]) })[dx!.name]!
        .data,
    ],
    [1, 0, 1],
  );
});

test('an op without a rule is refused with its name and a way out, but only on the path', () => {
  const builder = new GraphBuilder(),
    x = builder.input('x', 'float32', [3]),
    w = builder.input('w', 'float32', [3]);
  const jump = builder.op('Mod', [x, 2], { fmod: 1 }, { name: 'features.3.mod' });
  const loss = builder.op('ReduceSum', [builder.op('Mul', [jump, w])], { keepdims: 0 });
  assert.ok(differentiate(builder, loss, [w])[0]);
  assert.throws(
    () => differentiate(builder, loss, [x]),
    (error) =>
      error instanceof PupilError &&
      error.code === 'unsupported' &&
      error.message === 'features.3.mod: no gradient for Mod (it jumps); freeze this block with `freeze`',
  );
  assert.deepEqual(trainableThrough('Mod'), { kind: 'unsupported', reason: 'it jumps' });
  assert.deepEqual([trainableThrough('Conv'), trainableThrough('Shape')], [{ kind: 'gradient' }, { kind: 'none' }]);
});

test('equal maxima: the first of a window takes all of a pool, all share a reduction', () => {
  const builder = new GraphBuilder(),
    x = builder.input('x', 'float32', [1, 1, 2, 2]);
  const pooled = builder.op('ReduceSum', [builder.op('MaxPool', [x], { kernel_shape: [2, 2] })], { keepdims: 0 });
  const reduced = builder.op('ReduceMax', [x], { keepdims: 0 });
  builder.outputs({
    pooled: differentiate(builder, pooled, [x])[0]!,
    reduced: differentiate(builder, reduced, [x])[0]!,
  });
  const { pooled: first, reduced: shared } = evaluateGraph(builder.build(), { x: float32([1, 1, 2, 2], [1, 5, 5, 5]) });
  assert.deepEqual([...first!.data], [0, 1, 0, 0]);
  assert.deepEqual(
    [...shared!.data],
    [0, 1, 1, 1].map((share) => Math.fround(share * Math.fround(1 / 3))),
  );
});

test('the norm of zeros has gradient zero, not NaN', () => {
  const builder = new GraphBuilder(),
    x = builder.input('x', 'float32', [2]);
  const dx = differentiate(builder, builder.op('ReduceL2', [x], { keepdims: 0 }), [x])[0]!;
  builder.outputs([dx]);
  assert.deepEqual([...evaluateGraph(builder.build(), { x: float32([2], [0, 0]) })[dx.name]!.data], [0, 0]);
});

test('two rules for one op are refused', () => {
  assert.throws(() => mergeTables({ Add: 'none' }, { Add: 'none' }), /two gradient rules for Add/);
});
