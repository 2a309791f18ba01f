import { after, before, test } from 'node:test';
import { GraphBuilder } from '../../../graph/builder.js';
import { Random } from '../../../random.js';
import { float32, sizeOf, tensor, type Tensor } from '../../../tensor.js';
import { compareWithReference } from '../../../testing/engine-rows.js';
import { withoutDnnl } from '../../../testing/onednn.js';
import type { Engine } from '../../engine.js';
import { createDnnlEngine } from '../index.js';

let engine: Engine;
before(async () => {
  if (!withoutDnnl) engine = await createDnnlEngine({ threads: 1 });
});
after(() => engine?.close());

const random = new Random(7, 'groups');
const filled = (dims: readonly number[]): Tensor =>
  float32(
    [...dims],
    Float32Array.from({ length: sizeOf(dims) }, () => random.between(-2, 2)),
  );

/** y = x + (x * b1 + b2 - b3 ...) with erf and the sigmoid of it, for operands of these shapes. */
const shapes: readonly (readonly [full: readonly number[], ...others: (readonly number[])[]])[] = [
  [[4, 17, 33], [33]],
  [
    [4, 17, 33],
    [17, 1],
  ],
  [[4, 17, 33], [1, 17, 33], [33]],
  [
    [4, 17, 33],
    [4, 1, 33],
    [17, 33],
  ],
  [
    [4, 17, 33],
    [4, 1, 1],
    [1, 17, 1],
  ],
  [
    [3, 20, 13, 15],
    [20, 1, 1],
  ],
  [
    [3, 20, 13, 15],
    [3, 20, 1, 1],
    [1, 20, 1, 1],
  ],
  [[3, 20, 13, 15], [13, 1], [15]],
  [[2, 3, 5, 7], [3, 1, 1], [7]],
  [[6, 5], [6, 1], [5]],
  [
    [64, 130],
    [64, 1],
    [1, 130],
  ],
  [[5], [1]],
  [[2, 9000], [9000]],
];
for (const [full, ...others] of shapes) {
  test(
    `one loop for [${full}] with ${others.map((dims) => `[${dims}]`).join(' and ')}`,
    { skip: withoutDnnl },
    async () => {
      const builder = new GraphBuilder('loop'),
        feeds: Record<string, Tensor> = { x: filled(full) };
      const x = builder.input('x', 'float32', full);
      let y = x;
      others.forEach((dims, i) => {
        const name = `b${i}`;
        feeds[name] = filled(dims);
        y = builder.op(i % 2 ? 'Add' : 'Mul', [y, builder.input(name, 'float32', dims)]);
      });
      builder.outputs({
        plain: builder.op('Identity', [y]),
        y: builder.op('Add', [builder.op('Erf', [y]), builder.op('Sigmoid', [x])]),
      });
      await compareWithReference(engine, builder.build(), feeds, 1e-6);
    },
  );
}

for (const channels of [16, 24, 20]) {
  test(`gates and biases in the layout of a convolution with ${channels} channels`, { skip: withoutDnnl }, async () => {
    const builder = new GraphBuilder('gate');
    const x = builder.input('x', 'float32', [2, 3, 16, 18]);
    const convolved = builder.op('Conv', [x, builder.constant(filled([channels, 3, 3, 3]))], { pads: [1, 1, 1, 1] });
    const silu = builder.op('Mul', [convolved, builder.op('Sigmoid', [convolved])]);
    const pooled = builder.op('GlobalAveragePool', [silu]);
    const gated = builder.op('Mul', [
      silu,
      builder.op('Sigmoid', [builder.op('Mul', [pooled, builder.input('scale', 'float32', [1, channels, 1, 1])])]),
    ]);
    const moved = builder.op('Add', [
      builder.op('Mul', [gated, builder.input('row', 'float32', [16, 1])]),
      builder.input('bias', 'float32', [channels, 1, 1]),
    ]);
    const spread = builder.op('Expand', [
      pooled,
      builder.constant(tensor('int64', [4], BigInt64Array.from([2, channels, 16, 18].map(BigInt)))),
    ]);
    const again = builder.op('Conv', [
      builder.op('Add', [moved, spread]),
      builder.constant(filled([8, channels, 1, 1])),
    ]);
    builder.outputs({
      moved: builder.op('Clip', [moved, builder.constant(float32([], [-1])), builder.constant(float32([], [6]))]),
      again,
      spread,
    });
    const feeds = {
      x: filled([2, 3, 16, 18]),
      scale: filled([1, channels, 1, 1]),
      row: filled([16, 1]),
      bias: filled([channels, 1, 1]),
    };
    await compareWithReference(engine, builder.build(), feeds, 2e-5);
  });
}

for (const [op, channels] of [
  ['Relu', 32],
  ['Clip', 32],
  ['Relu', 24],
  ['Relu', 20],
] as const) {
  test(`a sum of ${channels} channels and its ${op}`, { skip: withoutDnnl }, async () => {
    const builder = new GraphBuilder('sum'),
      dims = [2, channels, 14, 14];
    const x = builder.input('x', 'float32', [2, 3, 14, 14]),
      other = builder.input('other', 'float32', dims);
    const convolved = builder.op('Conv', [x, builder.constant(filled([channels, 3, 3, 3]))], { pads: [1, 1, 1, 1] });
    const bounds = op === 'Clip' ? [builder.constant(float32([], [-0.5])), builder.constant(float32([], [6]))] : [];
    builder.outputs({ y: builder.op(op, [builder.op('Add', [convolved, other]), ...bounds]) });
    await compareWithReference(engine, builder.build(), { x: filled([2, 3, 14, 14]), other: filled(dims) }, 1e-5);
  });
}
