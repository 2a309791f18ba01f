import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from '../random.js';
import { float32, int64, numbersOf, sizeOf } from '../tensor.js';
import { GraphBuilder } from './builder.js';
import { evaluateGraph } from './evaluate.js';
import type { Graph, Value } from './graph.js';
import { bindInputs, dump, foldConstants, foldNormalization, prune, specialise, subgraph } from './passes.js';

/** x [N, 2, 4] -> Reshape to [N, 8] by Shape, Gather, Concat as exporters write it -> times w. */
function example(): Graph {
  const builder = new GraphBuilder('example');
  const x = builder.input('x', 'float32', ['N', 2, 4]);
  const w = builder.input('w', 'float32', [8, 3]);
  const shape = builder.op('Shape', [x]);
  const batch = builder.op('Unsqueeze', [
    builder.op('Gather', [shape, builder.constant(int64([], [0]))]),
    builder.ints([0]),
  ]);
  const two = builder.op('Gather', [shape, builder.ints([1])]);
  const four = builder.op('Gather', [shape, builder.ints([2])]);
  const flat = builder.op(
    'Reshape',
    [x, builder.op('Concat', [batch, builder.op('Mul', [two, four])], { axis: 0 })],
    {},
    { name: 'flat' },
  );
  const y = builder.op(
    'MatMul',
    [flat, builder.op('Mul', [w, builder.op('Sqrt', [builder.scalar(4)])])],
    {},
    { name: 'product' },
  );
  builder.op('Relu', [y], {}, { name: 'unread' });
  builder.outputs({ y });
  return builder.build();
}

test('foldConstants turns shape arithmetic into constants and keeps the batch dynamic', () => {
  const graph = foldConstants(example());
  assert.deepEqual(
    graph.nodes.map((node) => node.op),
    ['Reshape', 'Mul', 'MatMul', 'Identity'],
  );
  const target = graph.constants.get(graph.nodes[0]!.inputs[1]!)!;
  assert.deepEqual(numbersOf(target), [0, 8]);
  assert.deepEqual(graph.values.get('y')!.shape, ['N', 3]);
  const feeds = {
    x: float32([1, 2, 4], [1, 2, 3, 4, 5, 6, 7, 8]),
    w: float32(
      [8, 3],
      Array.from({ length: 24 }, (_, i) => i),
    ),
  };
  assert.deepEqual(evaluateGraph(graph, feeds).y, evaluateGraph(example(), feeds).y);
});

test('prune removes what no output needs and keeps the inputs', () => {
  const graph = prune(example());
  assert.equal(
    graph.nodes.some((node) => node.name === 'unread'),
    false,
  );
  assert.deepEqual(
    graph.inputs.map((input) => input.name),
    ['x', 'w'],
  );
  assert.equal(graph.values.has('unread'), false);
});

test('bindInputs makes inputs constants, which then fold', () => {
  const graph = foldConstants(bindInputs(example(), { w: float32([8, 3], new Array<number>(24).fill(0.5)) }));
  assert.deepEqual(
    graph.inputs.map((input) => input.name),
    ['x'],
  );
  assert.deepEqual(
    graph.nodes.map((node) => node.op),
    ['Reshape', 'MatMul', 'Identity'],
  );
  assert.throws(() => bindInputs(example(), { v: float32([1], [1]) }), { code: 'usage' });
  assert.throws(() => bindInputs(example(), { w: float32([1], [1]) }), /float32 \[8, 3\], got float32 \[1\]/);
});

test('specialise replaces names of sizes and infers again', () => {
  const graph = specialise(example(), { N: 32 });
  assert.deepEqual(graph.inputs[0]!.shape, [32, 2, 4]);
  assert.deepEqual(graph.values.get('y')!.shape, [32, 3]);
});

test('subgraph cuts out the part between values', () => {
  const graph = subgraph(foldConstants(example()), ['flat'], ['y']);
  assert.deepEqual(
    graph.inputs.map((input) => input.name),
    ['flat', 'w'],
  );
  assert.deepEqual(
    graph.nodes.map((node) => node.op),
    ['Mul', 'MatMul', 'Identity'],
  );
  const w = float32([8, 3], new Array<number>(24).fill(1));
  assert.deepEqual(
    numbersOf(evaluateGraph(graph, { flat: float32([1, 8], new Array<number>(8).fill(1)), w }).y!),
    [16, 16, 16],
  );
  assert.throws(() => subgraph(graph, ['nowhere'], ['y']), /no value named "nowhere"/);
});

test('dump is one readable line a value', () => {
  const text = dump(foldConstants(example()));
  assert.match(text, /^graph example\n {2}input x: float32 \[N, 2, 4\]\n/);
  assert.match(text, /flat: float32 \[N, 8\] = Reshape\(x, constant\w*\) {2}# flat/);
  assert.match(text, /constant constant\w*: int64 \[2\] \{0, 8\}/);
  assert.match(text, /return y\n$/);
});

test('given normalisation goes into a constant convolution, and only there', () => {
  const build = (read: 'once' | 'twice', training: boolean): Graph => {
    const b = new GraphBuilder('fold');
    const random = new Random(5, 'fold'),
      numbers = (dims: readonly number[], base = 0): Value =>
        b.constant(
          float32(
            dims,
            Float32Array.from({ length: sizeOf(dims) }, () => base + random.normal() * 0.3),
          ),
        );
    const conv = b.op('Conv', [b.input('x', 'float32', [2, 3, 5, 5]), numbers([4, 3, 3, 3]), numbers([4])], {
      kernel_shape: [3, 3],
      strides: [1, 1],
      pads: [1, 1, 1, 1],
      dilations: [1, 1],
      group: 1,
    });
    const y = b.op('BatchNormalization', [conv, numbers([4], 1), numbers([4]), numbers([4]), numbers([4], 2)], {
      epsilon: 1e-3,
      momentum: 0,
      training_mode: training ? 1 : 0,
    });
    b.outputs(read === 'once' ? { y } : { y, conv });
    return b.build();
  };
  const graph = build('once', false),
    folded = foldNormalization(graph);
  assert.deepEqual(
    folded.nodes.map(({ op }) => op),
    ['Conv', 'Identity'],
  );
  const random = new Random(6, 'x'),
    x = float32(
      [2, 3, 5, 5],
      Float32Array.from({ length: 150 }, () => random.normal()),
    );
  const [want, got] = [graph, folded].map((g) => evaluateGraph(g, { x }, { float64: true })['y']!.data as Float64Array);
  want!.forEach((value, i) => assert.ok(Math.abs(value - got![i]!) < 1e-6, `${value} ${got![i]}`));
  for (const other of [build('twice', false), build('once', true)]) assert.equal(foldNormalization(other), other);
});
