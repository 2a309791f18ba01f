import assert from 'node:assert/strict';
import { test } from 'node:test';
import { int64, tensor, zeros, type DataType } from '../../tensor.js';
import { GraphBuilder } from '../builder.js';
import type { Attributes, Shape } from '../graph.js';
import { addDims, divideDims, divideExactly, evaluateDim, multiplyDims, subtractDims } from './dims.js';

type Input = Shape | { dtype: DataType; shape: Shape } | { ints: readonly number[]; scalar?: boolean } | null;

/** Shapes that `op` gives for inputs of these shapes (numbers in `ints` are constants). */
function shapes(
  op: string,
  inputs: readonly Input[],
  attributes: Attributes = {},
  outputs?: number,
): (readonly (number | string)[])[] {
  const builder = new GraphBuilder('test');
  const values = inputs.map((input, i) => {
    if (input === null) return null;
    if ('ints' in input) return builder.constant(int64(input.scalar ? [] : [input.ints.length], input.ints));
    return 'dtype' in input
      ? builder.input(`x${i}`, input.dtype, input.shape)
      : builder.input(`x${i}`, 'float32', input);
  });
  return builder.node(op, values, attributes, outputs === undefined ? {} : { outputs }).map((value) => value.shape);
}

const table: [string, string, readonly Input[], Attributes, (readonly (number | string)[])[]][] = [
  [
    'broadcast with a named batch',
    'Add',
    [
      ['N', 3, 4],
      [3, 1],
    ],
    {},
    [['N', 3, 4]],
  ],
  [
    'Conv with stride and pads',
    'Conv',
    [
      ['N', 3, 224, 224],
      [64, 3, 7, 7],
    ],
    { strides: [2, 2], pads: [3, 3, 3, 3] },
    [['N', 64, 112, 112]],
  ],
  [
    'grouped, dilated Conv',
    'Conv',
    [
      ['N', 8, 17, 17],
      [16, 2, 3, 3],
    ],
    { group: 4, dilations: [2, 2] },
    [['N', 16, 13, 13]],
  ],
  [
    'Conv SAME_UPPER',
    'Conv',
    [
      ['N', 3, 15, 16],
      [4, 3, 3, 3],
    ],
    { auto_pad: 'SAME_UPPER', strides: [2, 2] },
    [['N', 4, 8, 8]],
  ],
  [
    'ConvTranspose',
    'ConvTranspose',
    [
      ['N', 8, 7, 7],
      [8, 4, 3, 3],
    ],
    { strides: [2, 2], pads: [1, 1, 1, 1], output_padding: [1, 1] },
    [['N', 4, 14, 14]],
  ],
  [
    'MaxPool rounding up',
    'MaxPool',
    [['N', 3, 112, 112]],
    { kernel_shape: [3, 3], strides: [2, 2], ceil_mode: 1 },
    [['N', 3, 56, 56]],
  ],
  [
    'MaxPool drops a window in the padding',
    'MaxPool',
    [['N', 3, 5, 5]],
    { kernel_shape: [2, 2], strides: [3, 3], pads: [1, 1, 1, 1], ceil_mode: 1 },
    [['N', 3, 2, 2]],
  ],
  ['GlobalAveragePool', 'GlobalAveragePool', [['N', 3, 7, 7]], {}, [['N', 3, 1, 1]]],
  [
    'batched MatMul',
    'MatMul',
    [
      ['N', 12, 197, 64],
      ['N', 12, 64, 197],
    ],
    {},
    [['N', 12, 197, 197]],
  ],
  ['Gemm transB', 'Gemm', [['N', 512], [10, 512], [10]], { transB: 1 }, [['N', 10]]],
  [
    'BatchNormalization in training',
    'BatchNormalization',
    [['N', 3, 2, 2], [3], [3], [3], [3]],
    { training_mode: 1 },
    [['N', 3, 2, 2], [3], [3]],
  ],
  ['Reshape -1 and 0', 'Reshape', [['N', 197, 2304], { ints: [0, 197, 3, 12, -1] }], {}, [['N', 197, 3, 12, 64]]],
  ['Reshape merges the batch', 'Reshape', [['N', 8, 7, 8, 7, 96], { ints: [-1, 49, 96] }], {}, [['64*N', 49, 96]]],
  [
    'Reshape splits the batch',
    'Reshape',
    [['64*N', 49, 96], { ints: [-1, 8, 8, 7, 7, 96] }],
    {},
    [['N', 8, 8, 7, 7, 96]],
  ],
  ['Flatten', 'Flatten', [['N', 512, 1, 1]], {}, [['N', 512]]],
  ['Squeeze', 'Squeeze', [['N', 512, 1, 1], { ints: [2, -1] }], {}, [['N', 512]]],
  ['Unsqueeze', 'Unsqueeze', [['N', 5], { ints: [0, -1] }], {}, [[1, 'N', 5, 1]]],
  [
    'Concat of two batches',
    'Concat',
    [
      ['N', 5],
      ['U', 5],
    ],
    { axis: 0 },
    [['N+U', 5]],
  ],
  [
    'Split',
    'Split',
    [['N', 6], { ints: [2, 4] }],
    { axis: 1 },
    [
      ['N', 2],
      ['N', 4],
    ],
  ],
  ['Slice', 'Slice', [['N', 10], { ints: [1] }, { ints: [-1] }, { ints: [1] }, { ints: [3] }], {}, [['N', 3]]],
  [
    'Slice backwards',
    'Slice',
    [['N', 10], { ints: [-1] }, { ints: [-11] }, { ints: [1] }, { ints: [-1] }],
    {},
    [['N', 10]],
  ],
  ['Slice of the batch', 'Slice', [['N', 10], { ints: [1] }, { ints: [2 ** 40] }, { ints: [0] }], {}, [['N-1', 10]]],
  ['Gather a scalar', 'Gather', [['N', 197, 768], { ints: [0], scalar: true }], { axis: 1 }, [['N', 768]]],
  ['Pad', 'Pad', [['N', 3, 5, 5], { ints: [0, 0, 1, 1, 0, 0, 1, 2] }], {}, [['N', 3, 7, 8]]],
  ['ReduceMean', 'ReduceMean', [['N', 3, 5, 5]], { axes: [2, 3], keepdims: 0 }, [['N', 3]]],
  ['ReduceSum over an input', 'ReduceSum', [['N', 3, 5], { ints: [-1] }], {}, [['N', 3, 1]]],
  [
    'Einsum',
    'Einsum',
    [
      ['N', 4, 5],
      ['N', 5, 6],
    ],
    { equation: 'bij,bjk->bik' },
    [['N', 4, 6]],
  ],
  [
    'Einsum with an ellipsis',
    'Einsum',
    [
      ['N', 3, 4, 5],
      [6, 5],
    ],
    { equation: '...a,ba->...b' },
    [['N', 3, 4, 6]],
  ],
  [
    'TopK',
    'TopK',
    [['N', 10], { ints: [3] }],
    {},
    [
      ['N', 3],
      ['N', 3],
    ],
  ],
  ['OneHot', 'OneHot', [{ dtype: 'int64', shape: ['N'] }, { ints: [10], scalar: true }, [2]], {}, [['N', 10]]],
  ['Tile', 'Tile', [['N', 3], { ints: [2, 1] }], {}, [['2*N', 3]]],
  ['Where', 'Where', [{ dtype: 'bool', shape: ['N', 1] }, [1, 4], []], {}, [['N', 4]]],
  ['DepthToSpace', 'DepthToSpace', [['N', 12, 4, 4]], { blocksize: 2 }, [['N', 3, 8, 8]]],
];

for (const [name, op, inputs, attributes, expected] of table) {
  test(`shape: ${name}`, () => assert.deepEqual(shapes(op, inputs, attributes), expected));
}

test('LayerNormalization makes its statistics only when they are asked for', () => {
  const inputs: Input[] = [['N', 197, 768], [768], [768]];
  assert.deepEqual(shapes('LayerNormalization', inputs), [['N', 197, 768]]);
  assert.deepEqual(shapes('LayerNormalization', inputs, {}, 3), [
    ['N', 197, 768],
    ['N', 197, 1],
    ['N', 197, 1],
  ]);
});

test('shape arithmetic on a named batch gives the target of an Expand', () => {
  const builder = new GraphBuilder();
  const x = builder.input('x', 'float32', ['N', 196, 768]);
  const token = builder.constant(zeros('float32', [1, 1, 768]));
  const batch = builder.op('Gather', [builder.op('Shape', [x]), builder.ints([0])]);
  const target = builder.op('Concat', [batch, builder.ints([-1]), builder.ints([-1])], { axis: 0 });
  const ones = builder.op('ConstantOfShape', [builder.ints([3])], { value: int64([1], [1]) });
  const fixed = builder.op('Where', [
    builder.op('Equal', [target, builder.op('Mul', [ones, builder.ints([-1])])]),
    ones,
    target,
  ]);
  assert.deepEqual(builder.op('Expand', [token, fixed]).shape, ['N', 1, 768]);
});

test('mistakes name the node and what does not fit', () => {
  assert.throws(() => shapes('Add', [[2, 3], [4]]), /Add: Add cannot broadcast \[2, 3\] with \[4\]/);
  assert.throws(
    () =>
      shapes('Conv', [
        ['N', 4, 8, 8],
        [8, 3, 3, 3],
      ]),
    /input of 4 channels/,
  );
  assert.throws(
    () =>
      shapes('MatMul', [
        ['N', 4],
        [5, 6],
      ]),
    /4 is not 5/,
  );
  assert.throws(() => shapes('Reshape', [[2, 3], { ints: [4, -1] }]), /cannot turn \[2, 3\]/);
  assert.throws(() => shapes('Add', [[2], { dtype: 'int64', shape: [2] }]), /mixes/);
  assert.throws(() => shapes('Mystery', [[2]]), { name: 'PupilError', code: 'unsupported' });
});

test('types: comparisons are bool, Cast takes ONNX numbers of types, constants keep theirs', () => {
  const builder = new GraphBuilder();
  const x = builder.input('x', 'float32', ['N']);
  assert.equal(builder.op('Less', [x, 0]).dtype, 'bool');
  assert.equal(builder.op('Cast', [x], { to: 7 }).dtype, 'int64');
  assert.equal(
    builder.op('ConstantOfShape', [builder.ints([2])], { value: tensor('bool', [1], Uint8Array.of(1)) }).dtype,
    'bool',
  );
});

test('size arithmetic is canonical', () => {
  assert.equal(addDims('U', 'N'), 'N+U');
  assert.equal(subtractDims(addDims('N', 'U'), 'U'), 'N');
  assert.equal(multiplyDims(addDims('N', 1), 3), '3*N+3');
  assert.equal(divideExactly('12*N', 'N'), 12);
  assert.equal(divideExactly(multiplyDims('N', 7), 2), undefined);
  assert.equal(divideDims(subtractDims('H', 1), 2), 'floor((H-1)/(2))');
  assert.equal(evaluateDim(multiplyDims(addDims(divideDims(subtractDims('H', 1), 2), 1), 'N'), { H: 224, N: 2 }), 224);
  assert.equal(subtractDims(3, 'N'), '3-N');
  assert.equal(evaluateDim(subtractDims(0, 'N'), { N: 5 }), -5);
});
