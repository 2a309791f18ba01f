import assert from 'node:assert/strict';
import { test } from 'node:test';
import { float32 } from '../tensor.js';
import { GraphBuilder } from './builder.js';
import { evaluateGraph } from './evaluate.js';
import { inline } from './inline.js';

function scaled(): ReturnType<GraphBuilder['build']> {
  const builder = new GraphBuilder('scaled');
  const x = builder.input('x', 'float32', ['N', 2]),
    scale = builder.input('scale', 'float32', [2]);
  const y = builder.op('Mul', [x, scale], {}, { name: 'multiply', outputNames: ['product'] });
  builder.outputs({ y: builder.op('Add', [y, builder.constant(float32([2], [1, -1]), 'shift')], {}, { name: 'add' }) });
  return builder.build();
}

test('a graph is copied with its names and declares the inputs that were not given', () => {
  const builder = new GraphBuilder(),
    pixels = builder.input('pixels', 'float32', [1, 2]);
  const { y } = inline(builder, scaled(), { x: pixels });
  builder.outputs({ result: y! });
  const graph = builder.build();
  assert.deepEqual(
    graph.inputs.map(({ name }) => name),
    ['pixels', 'scale'],
  );
  assert.deepEqual(
    graph.nodes.slice(0, 2).map(({ name }) => name),
    ['multiply', 'add'],
  );
  assert.deepEqual(y!.shape, [1, 2]);
  const { result } = evaluateGraph(graph, { pixels: float32([1, 2], [3, 4]), scale: float32([2], [10, 100]) });
  assert.deepEqual([...result!.data], [31, 399]);
});

test('a second copy shares inputs of the same name, and keeps apart what it computes', () => {
  const builder = new GraphBuilder(),
    a = builder.input('a', 'float32', [1, 2]);
  const first = inline(builder, scaled(), { x: a }).y!;
  const second = builder.scope('again', () => inline(builder, scaled(), { x: first })).y!;
  builder.outputs({ second });
  const graph = builder.build();
  assert.deepEqual(
    graph.inputs.map(({ name }) => name),
    ['a', 'scale'],
  );
  assert.ok(graph.nodes.some(({ name }) => name === 'again/multiply'));
  const out = evaluateGraph(graph, { a: float32([1, 2], [1, 1]), scale: float32([2], [2, 3]) });
  assert.deepEqual([...out.second!.data], [7, 5]);
});

test('the hook replaces nodes', () => {
  const builder = new GraphBuilder();
  const { y } = inline(
    builder,
    scaled(),
    {},
    { node: (node, inputs) => (node.op === 'Mul' ? [builder.op('Sub', [inputs[0]!, inputs[1]!])] : undefined) },
  );
  builder.outputs({ y: y! });
  assert.deepEqual(builder.nodes.map(({ op }) => op).slice(0, 2), ['Sub', 'Add']);
});

test('an input that the graph does not have is a mistake', () => {
  const builder = new GraphBuilder();
  assert.throws(() => inline(builder, scaled(), { z: builder.input('z', 'float32', [1, 2]) }), /no input named "z"/);
});
