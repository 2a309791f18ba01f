import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PupilError } from '../errors.js';
import { float32, int64, tensor } from '../tensor.js';
import { GraphBuilder } from './builder.js';
import { evaluateGraph, evaluateNode } from './evaluate.js';
import { float16ToNumber, numberToFloat16 } from './evaluate/dense.js';
import { erf } from './evaluate/functions.js';
import type { Node } from './graph.js';

const node = (op: string, attributes: Node['attributes'] = {}, outputs = ['y']): Node => ({
  name: 'features.3',
  op,
  domain: '',
  inputs: [],
  outputs,
  attributes,
});

test('every half-precision number survives the way to a double and back', () => {
  for (let bits = 0; bits < 0x10000; bits++) {
    const value = float16ToNumber(bits);
    if (!Number.isNaN(value)) assert.equal(numberToFloat16(value), bits);
  }
  assert.equal(float16ToNumber(numberToFloat16(1 + 2 ** -11)), 1); // a tie goes to the even neighbour
  assert.equal(float16ToNumber(numberToFloat16(1 + 3 * 2 ** -11)), 1 + 2 ** -9);
});

test('the error function has the values of tables', () => {
  // Abramowitz and Stegun, table 7.1
  for (const [x, y] of [
    [0, 0],
    [0.5, 0.5204998778],
    [1, 0.8427007929],
    [-1, -0.8427007929],
    [2, 0.995322265],
    [3.5, 0.9999992569],
  ] as const) {
    assert.ok(Math.abs(erf(x) - y) < 1e-10, `erf(${x}) = ${erf(x)}`);
  }
});

test('types: integers wrap and truncate, 64-bit integers are exact, floats round to their type', () => {
  const [bytes] = evaluateNode(node('Cast', { to: 2 }), [float32([3], [300, -1, 7.9])]);
  assert.deepEqual([...bytes!.data], [44, 255, 7]);
  const [sum] = evaluateNode(node('Add'), [int64([2], [2 ** 40, -7]), int64([1], [1])]);
  assert.deepEqual([...sum!.data], [2n ** 40n + 1n, -6n]);
  const [third] = evaluateNode(node('Div'), [float32([], [1]), float32([], [3])]);
  assert.equal(third!.data[0], Math.fround(1 / 3));
  const [exact] = evaluateNode(node('Div'), [float32([], [1]), float32([], [3])], { float64: true });
  assert.deepEqual(exact, tensor('float64', [], Float64Array.of(1 / 3)));
});

test('float64 computes a float32 graph in double throughout', () => {
  const builder = new GraphBuilder(),
    x = builder.input('x', 'float32', [1]);
  const tiny = builder.op('Cast', [builder.op('Add', [x, 1e-10])], { to: 1 });
  builder.outputs({ y: builder.op('Sub', [tiny, 1]) });
  const graph = builder.build(),
    feeds = { x: float32([1], [1]) };
  assert.deepEqual([...evaluateGraph(graph, feeds).y!.data], [0]);
  const { y } = evaluateGraph(graph, feeds, { float64: true });
  assert.equal(y!.dtype, 'float64');
  assert.ok(Math.abs((y!.data[0] as number) - 1e-10) < 1e-15);
});

test('mistakes name the node', () => {
  assert.throws(
    () => evaluateNode(node('NoSuchOp'), []),
    (error) => error instanceof PupilError && /features\.3: the op NoSuchOp/.test(error.message),
  );
  assert.throws(
    () => evaluateNode(node('Add'), [float32([2], [1, 2]), float32([3], [1, 2, 3])]),
    /features\.3: shapes \[2\] and \[3\] do not broadcast/,
  );
  assert.throws(
    () => evaluateNode(node('Gather'), [float32([2], [1, 2]), int64([], [5])]),
    /features\.3: index 5 is outside an axis of size 2/,
  );
  const builder = new GraphBuilder('net');
  builder.outputs([builder.op('Neg', [builder.input('x', 'float32', [1])])]);
  assert.throws(() => evaluateGraph(builder.build(), {}), /net: nothing was fed for the input "x"/);
  assert.throws(() => evaluateGraph(builder.build(), { x: int64([1], [1]) }), /the input "x" is float32, got int64/);
});
