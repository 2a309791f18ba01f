import { activationGradients } from '../activations.js';
import { numberOf } from '../attributes.js';
import { broadcastData, broadcastDims, dense, isFloat, type Dense } from './dense.js';
import {
  activationGradient,
  binaryFunctions,
  clipGradient,
  comparisons,
  maximum,
  minimum,
  unaryOf,
  unaryOps,
  type Binary,
  type Unary,
} from './functions.js';
import { typeOfCode } from '../element-types.js';
import type { Kernel, KernelContext, Kernels } from './kernel.js';
import { sizeOf } from '../../tensor.js';

const map = (x: Dense, f: Unary): Dense[] => [dense(x.dtype, x.dims, x.data.map(f))];

function zip(a: Dense, b: Dense, f: Binary, dtype = a.dtype): Dense {
  const dims = broadcastDims(a.dims, b.dims);
  const left = broadcastData(a, dims),
    right = broadcastData(b, dims);
  const out = new Float64Array(left.length);
  for (let i = 0; i < out.length; i++) out[i] = f(left[i]!, right[i]!);
  return dense(dtype, dims, out);
}

const unary: Kernel = ({ op, attributes, input }) => map(input(0), unaryOf(op, attributes)!);
const binary =
  (f: Binary): Kernel =>
  (context) => [zip(context.input(0), context.input(1), f)];
const comparison =
  (f: Binary): Kernel =>
  (context) => [zip(context.input(0), context.input(1), f, 'bool')];
const fold =
  (f: Binary): Kernel =>
  (context) => [present(context).reduce((sum, x) => zip(sum, x, f))];

const present = (context: KernelContext): Dense[] => context.inputs.filter((input) => input !== undefined);

const each = <T>(table: Readonly<Record<string, T>>, make: (entry: T) => Kernel): Kernels =>
  Object.fromEntries(Object.entries(table).map(([op, entry]) => [op, make(entry)]));

/** Elementwise ops, with broadcasting. */
export const elementwise: Kernels = {
  ...Object.fromEntries(unaryOps.map((op) => [op, unary])),
  ...each(binaryFunctions, binary),
  ...each(comparisons, comparison),
  Sum: fold((a, b) => a + b),
  Max: fold(maximum),
  Min: fold(minimum),
  Mean: (context) => {
    const inputs = present(context);
    return map(
      inputs.reduce((sum, x) => zip(sum, x, (a, b) => a + b)),
      (x) => x / inputs.length,
    );
  },
  Mod: ({ input, attributes }) => [
    zip(input(0), input(1), (a, b) => {
      const rest = a % b; // sign of the dividend, as fmod; without fmod the sign of the divisor
      return numberOf(attributes, 'fmod', 0) === 1 || rest === 0 || rest < 0 === b < 0 ? rest : rest + b;
    }),
  ],
  Identity: ({ input }) => [input(0)],
  MeanOverRanks: ({ input }) => [input(0)],
  Cast: ({ input, attributes }) => {
    const to = typeOfCode(numberOf(attributes, 'to', 1));
    if (!to) throw new Error(`Cast: element type ${numberOf(attributes, 'to', 1)} is not supported`);
    return [
      {
        ...input(0),
        dtype: to,
        data:
          isFloat(to) || !isFloat(input(0).dtype) || to === 'bool'
            ? input(0).data.slice()
            : input(0).data.map(Math.trunc),
      },
    ];
  },
  CastLike: ({ input }) => [{ ...input(0), dtype: input(1).dtype, data: input(0).data.slice() }],
  Where: ({ input }) => {
    const dims = broadcastDims(input(0).dims, input(1).dims, input(2).dims);
    const condition = broadcastData(input(0), dims),
      yes = broadcastData(input(1), dims),
      no = broadcastData(input(2), dims);
    return [
      dense(
        input(1).dtype,
        dims,
        yes.map((value, i) => (condition[i] ? value : no[i]!)),
      ),
    ];
  },
  Clip: ({ input, inputs, attributes }) => {
    const low = inputs[1]?.data[0] ?? numberOf(attributes, 'min', -Infinity),
      high = inputs[2]?.data[0] ?? numberOf(attributes, 'max', Infinity);
    return map(input(0), (x) => minimum(high, maximum(low, x)));
  },
  ClipGrad: ({ input, attributes }) => {
    const low = numberOf(attributes, 'low', -Infinity),
      high = numberOf(attributes, 'high', Infinity);
    return [zip(input(0), input(1), (dy, y) => clipGradient(dy, y, low, high))];
  },
  ...Object.fromEntries(
    [...activationGradients].map(([op, gradient]): [string, Kernel] => [
      gradient,
      ({ input, attributes }) => [zip(input(0), input(1), activationGradient(op, attributes)!)],
    ]),
  ),
  IsNaN: ({ input }) => [
    dense(
      'bool',
      input(0).dims,
      input(0).data.map((x) => +Number.isNaN(x)),
    ),
  ],
  IsInf: ({ input }) => [
    dense(
      'bool',
      input(0).dims,
      input(0).data.map((x) => +(Math.abs(x) === Infinity)),
    ),
  ],
  Dropout: ({ input, inputs, outputCount }) => {
    if (inputs[2]?.data[0]) throw new Error('Dropout: training mode draws its own random numbers; feed a mask instead');
    const y = input(0);
    return [y, dense('bool', y.dims, new Float64Array(sizeOf(y.dims)).fill(1))].slice(0, outputCount);
  },
};
