import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GraphBuilder } from '../../../graph/builder.js';
import { evaluateGraph } from '../../../graph/evaluate.js';
import { Random } from '../../../random.js';
import { float32, sizeOf, tensor, type Tensor } from '../../../tensor.js';
import { allBfloat16, relativeError, runProfiled, withoutBfloat16, withoutDnnl } from '../../../testing/onednn.js';

const random = new Random(11, 'sums');
const filled = (dims: readonly number[], offset = 0.3): Tensor =>
  float32(
    [...dims],
    Float32Array.from({ length: sizeOf(dims) }, () => random.normal() + offset),
  );

/** What is summed, over which axes, and the kind of step that must do it. */
const plain: readonly (readonly [dims: readonly number[], axes: readonly number[], kind: string])[] = [
  [[40, 257], [0], 'sum of rows'],
  [[40, 257], [1], 'sums in rows'],
  [[3, 50, 60], [0, 1], 'sum of rows'],
  [[3, 50, 60], [1, 2], 'sums in rows'],
  [[1, 40, 257], [1], 'sum of rows'],
  [[9000], [0], 'Reduce'],
  [[7, 40, 50], [1], 'Reduce'],
  [[100, 3], [0], 'Reduce'],
];

for (const [dims, axes, kind] of plain) {
  for (const op of ['ReduceSum', 'ReduceMean'] as const) {
    test(`${op} of [${dims}] over ${axes}`, { skip: withoutDnnl }, () => {
      const builder = new GraphBuilder('sum'),
        x = builder.input('x', 'float32', dims);
      builder.outputs({
        kept:
          op === 'ReduceSum'
            ? builder.op(op, [x, builder.ints(axes)], { keepdims: 1 })
            : builder.op(op, [x], { axes: [...axes], keepdims: 1 }),
        dropped:
          op === 'ReduceSum'
            ? builder.op(op, [x, builder.ints(axes)], { keepdims: 0 })
            : builder.op(op, [x], { axes: [...axes], keepdims: 0 }),
      });
      const graph = builder.build(),
        feeds = { x: filled(dims) },
        expected = evaluateGraph(graph, feeds, { float64: true }),
        { outputs, kinds } = runProfiled(graph, feeds);
      for (const name of graph.outputs) {
        assert.deepEqual(outputs[name]!.dims, expected[name]!.dims);
        assert.ok(
          relativeError(outputs[name]!, expected[name]!) < 2e-6,
          `${name} off by ${relativeError(outputs[name]!, expected[name]!)}`,
        );
      }
      assert.ok(
        kinds.some((found) => found.startsWith(kind)),
        kinds.join(', '),
      );
    });
  }
}

/**
 * Sums of a convolution's result, in whatever layout and type that is; 20 channels leave the last
 * block of a layout unfilled.
 */
for (const channels of [16, 20, 32]) {
  for (const isHalved of [false, true]) {
    test(
      `sums of a convolution with ${channels} channels${isHalved ? ' in bfloat16' : ''}`,
      { skip: isHalved ? withoutBfloat16 : withoutDnnl },
      () => {
        const builder = new GraphBuilder('sums'),
          x = builder.input('x', 'float32', [4, 8, 15, 17]);
        const y = builder.op('Conv', [x, builder.input('w', 'float32', [channels, 8, 3, 3])], { pads: [1, 1, 1, 1] });
        const over = (op: string, axes: number[], keepdims: number) =>
          op === 'ReduceSum'
            ? builder.op(op, [y, builder.ints(axes)], { keepdims })
            : builder.op(op, [y], { axes, keepdims });
        builder.outputs({
          pixels: over('ReduceSum', [2, 3], 1),
          pixelsDropped: over('ReduceSum', [-2, -1], 0),
          means: over('ReduceMean', [2, 3], 1),
          meansDropped: over('ReduceMean', [2, 3], 0),
          channels: over('ReduceSum', [0, 2, 3], 0),
          images: over('ReduceMean', [1, 2, 3], 0),
          everything: over('ReduceSum', [0, 1, 2, 3], 0),
          across: over('ReduceSum', [1], 1),
        });
        const graph = builder.build(),
          feeds = { x: filled([4, 8, 15, 17]), w: filled([channels, 8, 3, 3]) },
          expected = evaluateGraph(graph, feeds, { float64: true });
        const { outputs, kinds } = runProfiled(graph, feeds, {
          isHalved,
          ...(isHalved ? { choices: allBfloat16 } : {}),
        });
        for (const name of graph.outputs) {
          const error = relativeError(outputs[name]!, expected[name]!);
          assert.deepEqual(outputs[name]!.dims, expected[name]!.dims, name);
          assert.ok(error < (isHalved ? 2 ** -7 : 3e-6), `${name} off by ${error}; ${kinds.join(', ')}`);
        }
        assert.ok(
          kinds.some((kind) => kind.endsWith('by pooling')),
          kinds.join(', '),
        );
      },
    );
  }
}

test('bytes become normalised planes', { skip: withoutDnnl }, () => {
  const builder = new GraphBuilder('pixels'),
    dims = [3, 9, 13, 3],
    pixels = builder.input('pixels', 'uint8', dims);
  const each = (values: readonly number[]) => builder.constant(float32([1, 3, 1, 1], [...values]));
  const planes = builder.op('Transpose', [builder.op('Cast', [pixels], { to: 1 })], { perm: [0, 3, 1, 2] });
  const y = builder.op('Add', [
    builder.op('Mul', [planes, each([0.0171, 0.0175, 0.0174])]),
    each([-2.118, -2.036, -1.804]),
  ]);
  builder.outputs({ y });
  const graph = builder.build(),
    feeds = {
      pixels: tensor(
        'uint8',
        dims,
        Uint8Array.from({ length: sizeOf(dims) }, (_, i) => (i * 37) % 256),
      ),
    };
  const { outputs, kinds } = runProfiled(graph, feeds),
    expected = evaluateGraph(graph, feeds, { float64: true });
  assert.ok(relativeError(outputs['y']!, expected['y']!) < 2e-7);
  assert.deepEqual([...kinds].sort(), ['normalise pixels', 'pixels to planes']);
});
