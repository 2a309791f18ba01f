import type { GraphBuilder } from '../graph/builder.js';
import type { Attributes, Value } from '../graph/graph.js';
import { Random } from '../random.js';
import { float32, int64, tensor, type Tensor } from '../tensor.js';
import { spread } from './row-graph.js';

interface NodeRow {
  readonly name: string;
  build(builder: GraphBuilder): { outputs: readonly Value[]; feeds: Record<string, Tensor> };
}

type Input = Tensor | readonly number[] | { readonly constant: Tensor } | null;

/**
 * One node on fed inputs (a shape stands for spread floats), or constants where a shape depends on
 * the value.
 */
function node(
  op: string,
  inputs: readonly Input[],
  attributes: Attributes = {},
  about = '',
  outputs?: number,
): NodeRow {
  const name = about ? `${op}, ${about}` : op;
  return {
    name,
    build: (builder) => {
      const feeds: Record<string, Tensor> = {},
        random = new Random(2, name);
      const values = inputs.map((input, i) => {
        if (input === null) return null;
        if ('constant' in input) return builder.constant(input.constant);
        const t = 'dtype' in input ? input : spread(input, -3, 3, random);
        feeds[`x${i}`] = t;
        return builder.input(`x${i}`, t.dtype, t.dims);
      });
      return { outputs: builder.node(op, values, attributes, outputs === undefined ? {} : { outputs }), feeds };
    },
  };
}

const ints = (...values: number[]): Tensor => int64([values.length], values);
const fixed = (...values: number[]): Input => ({ constant: ints(...values) });
const bools = (...values: number[]): Tensor => tensor('bool', [values.length], Uint8Array.from(values));
const int32 = (...values: number[]): Tensor => tensor('int32', [values.length], Int32Array.from(values));
const matrix = spread([3, 4], -3, 3, new Random(3, 'matrix'));

/** Nodes that carry no gradient, and other types than float32, for engines to be compared on. */
export const nodeRows: readonly NodeRow[] = [
  ...['Sign', 'Floor', 'Ceil', 'Round'].map((op) =>
    node(op, [float32([8], [-2.5, -1.5, -0.5, -0.2, 0, 0.5, 1.5, 2.7])]),
  ),
  ...['Equal', 'Greater', 'Less', 'GreaterOrEqual', 'LessOrEqual'].map((op) =>
    node(op, [float32([2, 2], [1, 2, 3, 4]), float32([2], [1, 4])]),
  ),
  ...['And', 'Or', 'Xor'].map((op) => node(op, [bools(0, 0, 1, 1), bools(0, 1, 0, 1)])),
  node('Not', [bools(0, 1)]),
  ...['Add', 'Sub', 'Mul', 'Div'].map((op) => node(op, [ints(7, -7, 9), ints(2, 2, -4)], {}, 'int64')),
  ...['Add', 'Div', 'Max', 'Min'].map((op) => node(op, [int32(7, -7, 9), int32(2, 2, -4)], {}, 'int32')),
  node('Mod', [ints(7, -7, 7), ints(3, 3, -3)], {}, 'int64'),
  node('Mod', [float32([3], [5.5, -5.5, 4]), float32([3], [2, 2, -3])], { fmod: 1 }, 'fmod'),
  node('Equal', [ints(1, 2, 3), ints(1, 0, 3)], {}, 'int64'),
  node('Where', [bools(1, 0), ints(5, 6), ints(7, 8)], {}, 'int64'),
  node('Cast', [float32([4], [-1.7, 0.2, 3.9, 0])], { to: 7 }, 'float32 to int64'),
  node('Cast', [float32([3], [0, -1.5, 0.3])], { to: 9 }, 'float32 to bool'),
  node('Cast', [tensor('uint8', [3], Uint8Array.of(0, 128, 255))], { to: 1 }, 'uint8 to float32'),
  node('Cast', [ints(3, -4)], { to: 6 }, 'int64 to int32'),
  node('Cast', [float32([6], [1, 0.1, 65504, 1e-7, -2.3456, 70000])], { to: 10 }, 'float32 to float16'),
  node('Relu', [float32([3], [-1, 0, NaN])], {}, 'NaN'),
  node('Clip', [[2, 5], { constant: float32([], [-1]) }, { constant: float32([], [2]) }]),
  node('ReduceMax', [[2, 3, 4]], { axes: [0, 2], keepdims: 0 }),
  node('ReduceSum', [ints(1, 2, 3)], { keepdims: 0 }, 'int64'),
  node('ReduceProd', [[2, 3]], { axes: [1], keepdims: 1 }),
  node('ArgMax', [[3, 4]], { axis: 1 }),
  node('ArgMin', [[3, 4]], { axis: 0, keepdims: 0 }),
  node('ArgMax', [float32([4], [1, 3, 3, 0])], { axis: 0, select_last_index: 1 }, 'last of equals'),
  node('TopK', [[3, 5], fixed(3)], { axis: 1 }, 'largest', 2),
  node('TopK', [[5, 2], fixed(2)], { axis: 0, largest: 0 }, 'smallest', 2),
  node('OneHot', [ints(1, 0, -1), { constant: int64([], [3]) }, float32([2], [0.1, 0.9])]),
  node(
    'OneHot',
    [int64([2, 2], [1, 0, 2, 5]), { constant: int64([], [3]) }, float32([2], [0, 1])],
    { axis: 1 },
    'axis 1',
  ),
  node('Range', [{ constant: int64([], [2]) }, { constant: int64([], [11]) }, { constant: int64([], [3]) }]),
  node('ConstantOfShape', [fixed(2, 3)], { value: float32([1], [1.5]) }),
  node('Shape', [[2, 3, 4]], { start: 1 }),
  node('Size', [[2, 3]]),
  node('Reshape', [[2, 3, 4], fixed(0, -1)]),
  node('Split', [[7, 2], fixed(3, 4)], { axis: 0 }, '', 2),
  node('Slice', [[6, 5], fixed(-2, 0), fixed(-100, 4), fixed(0, 1), fixed(-2, 1)]),
  node('Slice', [ints(1, 2, 3, 4), fixed(1), fixed(9223372036854775807)], {}, 'int64'),
  node('Pad', [[2, 3], fixed(1, 2, 0, 1), { constant: float32([], [7]) }], {}, 'a constant'),
  node('Pad', [[3, 4], fixed(1, 2, 2, 1)], { mode: 'reflect' }, 'reflect'),
  node('Pad', [[3, 4], fixed(1, 2, 2, 1)], { mode: 'edge' }, 'edge'),
  node('NonZero', [float32([2, 3], [0, 1, 0, 2, 3, 0])]),
  node('EyeLike', [[3, 4]], { k: 1 }),
  node('GatherND', [[3, 2, 2], int64([2, 1], [2, 0])]),
  node('Trilu', [[3, 4]], { upper: 1 }),
  node(
    'ScatterElements',
    [[3, 3], int64([2, 1], [1, 1]), [2, 1]],
    { axis: 0, reduction: 'add' },
    'add to one place twice',
  ),
  node(
    'BatchNormalization',
    [[2, 3, 4], [3], [3], [3], float32([3], [1, 2, 0.5])],
    { training_mode: 1, momentum: 0.8 },
    'training with momentum',
    3,
  ),
  ...(['floor', 'ceil', 'round_prefer_floor', 'round_prefer_ceil'] as const).flatMap((nearest_mode) =>
    ['asymmetric', 'half_pixel', 'align_corners'].map((coordinate_transformation_mode) =>
      node(
        'Resize',
        [[1, 1, 4, 5], null, null, fixed(1, 1, 7, 3)],
        { mode: 'nearest', nearest_mode, coordinate_transformation_mode },
        `nearest, ${nearest_mode}, ${coordinate_transformation_mode}`,
      ),
    ),
  ),
  ...['asymmetric', 'half_pixel', 'align_corners', 'pytorch_half_pixel'].flatMap((coordinate_transformation_mode) =>
    ['linear', 'cubic'].map((mode) =>
      node(
        'Resize',
        [[1, 2, 4, 5], null, null, fixed(1, 2, 7, 3)],
        { mode, coordinate_transformation_mode },
        `${mode}, ${coordinate_transformation_mode}`,
      ),
    ),
  ),
  node('Resize', [[1, 1, 4, 4], null, { constant: float32([4], [1, 1, 1.5, 2]) }], { mode: 'linear' }, 'scales'),
  node('QuantizeLinear', [
    [2, 6],
    { constant: float32([], [0.02]) },
    { constant: tensor('uint8', [], Uint8Array.of(128)) },
  ]),
  node(
    'QuantizeLinear',
    [matrix, float32([3], [0.1, 0.02, 1]), tensor('int8', [3], Int8Array.of(0, 3, -5))],
    { axis: 0 },
    'per channel',
  ),
  node(
    'DequantizeLinear',
    [
      tensor('int8', [2, 3], Int8Array.of(-128, 0, 5, 7, 127, 1)),
      float32([2], [0.5, 0.25]),
      tensor('int8', [2], Int8Array.of(1, 0)),
    ],
    { axis: 0 },
    'per channel',
  ),
  node('MaxPool', [[1, 2, 5, 5]], { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] }, 'with indices', 2),
];
