import type { Attributes } from '../graph/graph.js';
import { float32, int64, tensor, type Tensor } from '../tensor.js';
import { normalizationRows } from './normalization-rows.js';
import type { Row, RowInput } from './row-graph.js';

const bools = (dims: readonly number[], values: readonly number[]): Tensor =>
  tensor('bool', dims, Uint8Array.from(values));
const positive = (...dims: number[]): RowInput => ({ dims, low: 0.3, high: 2.5 });
const image = [2, 3, 5, 6];

const convolutionWindows: [about: string, x: number[], w: number[], attributes: Attributes][] = [
  ['plain', image, [4, 3, 3, 3], {}],
  ['1x1', image, [4, 3, 1, 1], {}],
  ['padded', image, [4, 3, 3, 3], { pads: [1, 1, 1, 1] }],
  ['strided', image, [4, 3, 3, 3], { strides: [2, 2], pads: [1, 1, 1, 1] }],
  ['strided with rows left over', [1, 2, 6, 7], [2, 2, 2, 2], { strides: [3, 2] }],
  ['dilated', [1, 2, 7, 7], [3, 2, 3, 3], { dilations: [2, 2], pads: [2, 2, 2, 2] }],
  ['asymmetric pads', image, [4, 3, 3, 2], { pads: [0, 1, 2, 0], strides: [2, 1] }],
  ['grouped', [2, 4, 5, 5], [6, 2, 3, 3], { group: 2, pads: [1, 1, 1, 1] }],
  ['depthwise', [2, 4, 5, 5], [4, 1, 3, 3], { group: 4, pads: [1, 1, 1, 1] }],
  [
    'depthwise with a multiplier, strided',
    [2, 3, 6, 6],
    [6, 1, 3, 3],
    { group: 3, strides: [2, 2], pads: [0, 0, 1, 1] },
  ],
  ['SAME_UPPER', [1, 2, 6, 5], [3, 2, 3, 3], { auto_pad: 'SAME_UPPER', strides: [2, 2] }],
  ['SAME_LOWER', [1, 2, 6, 5], [3, 2, 2, 2], { auto_pad: 'SAME_LOWER' }],
  ['asymmetric kernel', [1, 2, 5, 9], [2, 2, 1, 7], { pads: [0, 3, 0, 3] }],
  ['patches', [1, 3, 8, 8], [5, 3, 4, 4], { strides: [4, 4] }],
  ['one axis', [2, 3, 8], [4, 3, 3], { pads: [1, 1] }],
  ['one axis, strided', [2, 4, 9], [4, 2, 3], { pads: [1, 0], strides: [2], group: 2 }],
  ['three axes', [2, 3, 5, 4, 3], [4, 3, 3, 3, 1], { pads: [1, 1, 0, 1, 1, 0] }],
  ['three axes, strided and grouped', [1, 4, 5, 4, 3], [2, 2, 2, 3, 2], { strides: [2, 1, 2], group: 2 }],
];

const poolingWindows: [about: string, x: number[], attributes: Attributes][] = [
  ['2x2', image, { kernel_shape: [2, 2], strides: [2, 2] }],
  ['3x3, overlapping, padded', image, { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] }],
  ['ceil_mode', [1, 2, 6, 7], { kernel_shape: [3, 3], strides: [2, 2], ceil_mode: 1 }],
  ['ceil_mode and pads', [1, 2, 7, 6], { kernel_shape: [2, 2], strides: [2, 2], pads: [1, 1, 1, 1], ceil_mode: 1 }],
  ['SAME_UPPER', [1, 2, 5, 6], { kernel_shape: [3, 3], strides: [2, 2], auto_pad: 'SAME_UPPER' }],
  ['asymmetric pads', [1, 2, 5, 5], { kernel_shape: [3, 2], strides: [1, 2], pads: [0, 1, 1, 0] }],
  ['one axis', [2, 3, 8], { kernel_shape: [3], strides: [2], pads: [1, 0] }],
  ['three axes', [2, 2, 4, 5, 3], { kernel_shape: [2, 3, 2], strides: [2, 1, 1] }],
  [
    'three axes, padded, ceil_mode',
    [1, 2, 4, 5, 4],
    { kernel_shape: [3, 2, 3], strides: [2, 2, 2], pads: [1, 0, 1, 1, 1, 0], ceil_mode: 1 },
  ],
];

const unary = (op: string, input: RowInput = [3, 7], attributes: Attributes = {}): Row => ({
  op,
  inputs: [input],
  attributes,
});

/** Every binary op with equal shapes and with both kinds of broadcasting. */
const binary = (op: string, make: (...dims: number[]) => RowInput = (...dims) => dims): Row[] => [
  { op, about: 'equal shapes', inputs: [make(2, 3), make(2, 3)] },
  { op, about: 'broadcast right', inputs: [make(2, 3, 4), make(3, 1)] },
  { op, about: 'broadcast left and right', inputs: [make(4), make(2, 1, 1)] },
  { op, about: 'a scalar', inputs: [make(), make(2, 3)] },
];

const reductions: Row[] = [
  'ReduceSum',
  'ReduceMean',
  'ReduceMax',
  'ReduceMin',
  'ReduceL1',
  'ReduceL2',
  'ReduceSumSquare',
  'ReduceLogSum',
  'ReduceLogSumExp',
].flatMap((op): Row[] => {
  const x = op === 'ReduceLogSum' ? positive(2, 3, 4) : [2, 3, 4];
  const axes = (list: number[], keepdims: number, about: string): Row =>
    op === 'ReduceSum'
      ? { op, about, inputs: [x, int64([list.length], list)], attributes: { keepdims } }
      : { op, about, inputs: [x], attributes: { keepdims, axes: list } };
  return [
    axes([1], 1, 'kept'),
    axes([-1, 0], 0, 'dropped'),
    { op, about: 'everything', inputs: [x], attributes: { keepdims: 0 } },
  ];
});

const gemms: Row[] = [
  [0, 0],
  [0, 1],
  [1, 0],
  [1, 1],
].map(([transA, transB]): Row => ({
  op: 'Gemm',
  about: `transA ${transA}, transB ${transB}`,
  inputs: [transA ? [3, 2] : [2, 3], transB ? [4, 3] : [3, 4], transB ? [4] : [2, 1]],
  attributes: { transA: transA!, transB: transB!, alpha: 0.7, beta: transA ? 1.3 : 1 },
}));

/** Nodes whose gradients are tested: at least one for every op that has a gradient rule. */
export const gradientRows: readonly Row[] = [
  ...['Add', 'Sub', 'Mul', 'Max', 'Min', 'Sum', 'Mean'].flatMap((op) => binary(op)),
  ...binary('Div', positive),
  ...binary('Pow', positive),
  ...[2, 1, 0.5, 3, -1.5].map((p): Row => ({
    op: 'Pow',
    about: `constant ${p}`,
    inputs: [positive(2, 3), float32([], [p])],
  })),
  { op: 'Pow', about: 'an integer exponent', inputs: [[2, 3], int64([], [3])] },
  { op: 'Sum', about: 'three', inputs: [[2, 3], [3], [2, 1]] },
  { op: 'Max', about: 'three', inputs: [[2, 3], [3], [2, 1]] },
  {
    op: 'PRelu',
    inputs: [
      [2, 3, 4],
      [3, 1],
    ],
  },
  { op: 'Where', inputs: [bools([2, 3], [1, 0, 0, 1, 1, 0]), [2, 3], [3]] },
  ...[
    'Identity',
    'Neg',
    'Abs',
    'Exp',
    'Erf',
    'Sin',
    'Cos',
    'Tanh',
    'Sigmoid',
    'Softplus',
    'Softsign',
    'Relu',
    'LeakyRelu',
    'Elu',
    'Celu',
    'Selu',
    'HardSwish',
    'Swish',
    'Gelu',
    'Mish',
  ].map((op) => unary(op, { dims: [3, 11], low: -4, high: 4 })),
  ...['Sqrt', 'Log', 'Reciprocal'].map((op) => unary(op, positive(3, 5))),
  ...['Tan', 'Asin', 'Acos', 'Atanh'].map((op) => unary(op, { dims: [3, 5], low: -0.9, high: 0.9 })),
  ...['Atan', 'Sinh', 'Cosh', 'Asinh'].map((op) => unary(op)),
  unary('Acosh', { dims: [3, 5], low: 1.2, high: 3 }),
  unary('Swish', { dims: [3, 11], low: -4, high: 4 }, { alpha: 1.702 }),
  unary('Gelu', { dims: [3, 11], low: -4, high: 4 }, { approximate: 'tanh' }),
  unary('LeakyRelu', [3, 7], { alpha: 0.2 }),
  unary('Elu', [3, 7], { alpha: 0.6 }),
  unary('Celu', [3, 7], { alpha: 0.6 }),
  unary('Selu', [3, 7], { alpha: 1.5, gamma: 1.2 }),
  unary('ThresholdedRelu', [3, 7], { alpha: 0.8 }),
  unary('HardSigmoid', { dims: [3, 11], low: -5, high: 5 }),
  unary('HardSigmoid', { dims: [3, 11], low: -5, high: 5 }, { alpha: 1 / 6 }),
  { op: 'Clip', about: '0 to 6', inputs: [{ dims: [4, 7], low: -3, high: 9 }, float32([], [0]), float32([], [6])] },
  { op: 'Clip', about: '-1 to 1', inputs: [[4, 7], float32([], [-1]), float32([], [1])] },
  { op: 'Clip', about: 'only a minimum', inputs: [[4, 7], float32([], [0.5])] },
  { op: 'Clip', about: 'only a maximum', inputs: [[4, 7], null, float32([], [0])] },
  { op: 'Clip', about: 'no bound', inputs: [[4, 7]] },
  { op: 'Cast', inputs: [[2, 3]], attributes: { to: 11 } },
  { op: 'Dropout', about: 'inference', inputs: [[2, 3]] },

  {
    op: 'MatMul',
    about: 'matrices',
    inputs: [
      [2, 3],
      [3, 4],
    ],
  },
  {
    op: 'MatMul',
    about: 'a batch and one weight',
    inputs: [
      [2, 5, 3],
      [3, 4],
    ],
  },
  {
    op: 'MatMul',
    about: 'two batches',
    inputs: [
      [2, 2, 5, 3],
      [2, 2, 3, 4],
    ],
  },
  {
    op: 'MatMul',
    about: 'broadcast batches',
    inputs: [
      [2, 1, 5, 3],
      [4, 3, 2],
    ],
  },
  {
    op: 'MatMul',
    about: 'one matrix on the left',
    inputs: [
      [5, 3],
      [2, 3, 4],
    ],
  },
  { op: 'MatMul', about: 'a vector on the right', inputs: [[2, 5, 3], [3]] },
  { op: 'MatMul', about: 'a vector on the left', inputs: [[3], [3, 4]] },
  { op: 'MatMul', about: 'a dot product', inputs: [[3], [3]] },
  { op: 'MatMul', about: 'a batch times a vector', inputs: [[5, 3], [3]] },
  ...gemms,
  { op: 'Gemm', about: 'without C', inputs: [image.slice(0, 2), [3, 4]] },
  {
    op: 'Einsum',
    about: 'matrices',
    inputs: [
      [2, 3],
      [3, 4],
    ],
    attributes: { equation: 'ab,bc->ac' },
  },
  {
    op: 'Einsum',
    about: 'attention',
    inputs: [
      [2, 3, 2, 4],
      [2, 5, 2, 4],
    ],
    attributes: { equation: 'bihd,bjhd->bhij' },
  },
  {
    op: 'Einsum',
    about: 'a letter that is summed away',
    inputs: [[2, 3, 4], [4]],
    attributes: { equation: 'abc,c->a' },
  },
  {
    op: 'Einsum',
    about: 'no arrow',
    inputs: [
      [2, 3],
      [3, 4],
    ],
    attributes: { equation: 'ij,jk' },
  },

  ...convolutionWindows.map(([about, x, w, attributes], i): Row => ({
    op: 'Conv',
    about,
    inputs: i % 2 ? [x, w] : [x, w, [w[0]!]],
    attributes,
  })),
  { op: 'ConvTranspose', about: 'plain', inputs: [[2, 3, 4, 4], [3, 2, 3, 3], [2]] },
  {
    op: 'ConvTranspose',
    about: 'strided',
    inputs: [
      [2, 3, 4, 4],
      [3, 2, 2, 2],
    ],
    attributes: { strides: [2, 2] },
  },
  {
    op: 'ConvTranspose',
    about: 'output_padding, pads and groups',
    inputs: [
      [1, 4, 3, 4],
      [4, 1, 3, 3],
    ],
    attributes: { strides: [2, 2], pads: [1, 1, 1, 1], output_padding: [1, 1], group: 2 },
  },
  ...poolingWindows.flatMap(([about, x, attributes]): Row[] => [
    { op: 'MaxPool', about, inputs: [x], attributes },
    { op: 'AveragePool', about, inputs: [x], attributes },
    {
      op: 'AveragePool',
      about: `${about}, counting pads`,
      inputs: [x],
      attributes: { ...attributes, count_include_pad: 1 },
    },
  ]),
  { op: 'MaxPool', about: 'dilated', inputs: [[1, 2, 7, 7]], attributes: { kernel_shape: [2, 2], dilations: [2, 2] } },
  { op: 'GlobalAveragePool', inputs: [image] },
  { op: 'GlobalMaxPool', inputs: [image] },

  ...reductions,
  ...['Softmax', 'LogSoftmax'].flatMap((op): Row[] => [
    { op, inputs: [[3, 5]] },
    { op, about: 'axis 1 of 3', inputs: [[2, 4, 3]], attributes: { axis: 1 } },
  ]),
  { op: 'MeanOverRanks', inputs: [[3, 5]] },
  { op: 'CumSum', about: 'plain', inputs: [[2, 5], int64([], [1])] },
  {
    op: 'CumSum',
    about: 'reverse, exclusive',
    inputs: [[4, 3], int64([], [0])],
    attributes: { reverse: 1, exclusive: 1 },
  },
  { op: 'TopK', inputs: [[3, 6], int64([1], [2])], attributes: { axis: -1 } },

  ...normalizationRows,
  { op: 'LRN', about: 'odd size', inputs: [[2, 6, 2, 3]], attributes: { size: 3, alpha: 0.3, beta: 0.75, bias: 1.2 } },
  { op: 'LRN', about: 'even size', inputs: [[1, 6, 2, 2]], attributes: { size: 4, alpha: 0.3 } },

  { op: 'Reshape', inputs: [[2, 3, 4], int64([2], [0, -1])] },
  { op: 'Flatten', inputs: [[2, 3, 4]] },
  { op: 'Squeeze', inputs: [[2, 1, 3, 1], int64([2], [1, -1])] },
  { op: 'Unsqueeze', inputs: [[2, 3], int64([2], [0, 3])] },
  { op: 'Transpose', inputs: [[2, 3, 4]], attributes: { perm: [1, 2, 0] } },
  { op: 'Transpose', about: 'reversed', inputs: [[2, 3, 4]] },
  { op: 'Expand', inputs: [[3, 1], int64([3], [2, 1, 4])] },
  { op: 'Tile', inputs: [[2, 3], int64([2], [2, 3])] },
  {
    op: 'Concat',
    inputs: [
      [2, 1, 2],
      [2, 3, 2],
      [2, 2, 2],
    ],
    attributes: { axis: 1 },
  },
  { op: 'Concat', about: 'one trained part', inputs: [float32([2, 1], [1, 2]), [2, 3]], attributes: { axis: -1 } },
  {
    op: 'Split',
    about: 'all parts',
    inputs: [[2, 6], int64([3], [1, 3, 2])],
    attributes: { axis: 1 },
    outputs: 3,
    seen: [0, 1, 2],
  },
  {
    op: 'Split',
    about: 'one part',
    inputs: [[2, 6], int64([3], [1, 3, 2])],
    attributes: { axis: 1 },
    outputs: 3,
    seen: [1],
  },
  { op: 'Slice', about: 'two axes', inputs: [[4, 5, 2], int64([2], [1, 0]), int64([2], [3, -2]), int64([2], [0, 1])] },
  {
    op: 'Slice',
    about: 'every second',
    inputs: [[2, 7], int64([1], [1]), int64([1], [1000]), int64([1], [1]), int64([1], [2])],
  },
  {
    op: 'Slice',
    about: 'every third, not to the end',
    inputs: [[9, 2], int64([1], [0]), int64([1], [5]), int64([1], [0]), int64([1], [3])],
  },
  {
    op: 'Slice',
    about: 'backwards',
    inputs: [[2, 6], int64([1], [-1]), int64([1], [-1000]), int64([1], [1]), int64([1], [-1])],
  },
  {
    op: 'Slice',
    about: 'backwards by two',
    inputs: [[2, 6], int64([1], [4]), int64([1], [0]), int64([1], [1]), int64([1], [-2])],
  },
  { op: 'Gather', about: 'one index', inputs: [[2, 5, 3], int64([], [0])], attributes: { axis: 1 } },
  { op: 'Gather', about: 'a run', inputs: [[2, 5, 3], int64([2], [2, 3])], attributes: { axis: 1 } },
  {
    op: 'Gather',
    about: 'repeated indices',
    inputs: [[5, 3], int64([2, 3], [4, 0, 0, -1, 2, 4])],
    attributes: { axis: 0 },
  },
  { op: 'Gather', about: 'permuted, last axis', inputs: [[2, 4], int64([4], [2, 0, 3, 1])], attributes: { axis: -1 } },
  { op: 'GatherElements', inputs: [[3, 3], int64([3, 2], [0, 1, 2, 2, 1, 0])], attributes: { axis: 1 } },
  { op: 'GatherND', inputs: [[3, 2, 2], int64([3, 2], [0, 1, 2, 0, 0, 1])] },
  ...['none', 'add'].flatMap((reduction): Row[] => [
    {
      op: 'ScatterElements',
      about: reduction,
      inputs: [[3, 3], int64([3, 2], [0, 1, 2, 0, 1, 0]), [3, 2]],
      attributes: { axis: 1, reduction },
    },
    { op: 'ScatterND', about: reduction, inputs: [[4, 2], int64([2, 1], [3, 1]), [2, 2]], attributes: { reduction } },
  ]),
  { op: 'Pad', inputs: [[2, 3, 4], int64([6], [0, 1, 2, 0, 0, 1])] },
  { op: 'Pad', about: 'edge', inputs: [[2, 3, 4], int64([6], [0, 1, 2, 0, 0, 1])], attributes: { mode: 'edge' } },
  {
    op: 'Pad',
    about: 'reflect',
    inputs: [[1, 2, 3, 4], int64([8], [0, 0, 1, 2, 0, 0, 1, 3])],
    attributes: { mode: 'reflect' },
  },
  { op: 'Pad', about: 'negative', inputs: [[2, 3, 5], int64([6], [0, -1, 1, 0, 2, -2])] },
  {
    op: 'Resize',
    about: 'nearest, twice the size',
    inputs: [[1, 2, 3, 4], null, float32([4], [1, 1, 2, 2])],
    attributes: { mode: 'nearest', coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' },
  },
  {
    op: 'Resize',
    about: 'linear',
    inputs: [[1, 2, 3, 4], null, null, int64([4], [1, 2, 5, 6])],
    attributes: { mode: 'linear', coordinate_transformation_mode: 'half_pixel' },
  },
  {
    op: 'Resize',
    about: 'cubic',
    inputs: [[1, 1, 4, 4], null, null, int64([4], [1, 1, 6, 7])],
    attributes: { mode: 'cubic', coordinate_transformation_mode: 'half_pixel' },
  },
  { op: 'DepthToSpace', about: 'DCR', inputs: [[1, 8, 2, 3]], attributes: { blocksize: 2, mode: 'DCR' } },
  { op: 'DepthToSpace', about: 'CRD', inputs: [[1, 8, 2, 3]], attributes: { blocksize: 2, mode: 'CRD' } },
  { op: 'SpaceToDepth', inputs: [[1, 2, 4, 6]], attributes: { blocksize: 2 } },
  { op: 'Trilu', inputs: [[2, 3, 4], int64([], [1])], attributes: { upper: 0 } },
];
