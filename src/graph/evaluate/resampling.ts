import { axisOf, fromFront, listOf, numberOf, textOf } from '../attributes.js';
import { invariant } from '../../errors.js';
import { sizeOf } from '../../tensor.js';
import type { Attributes } from '../graph.js';
import { around, dense, range, roundHalfEven, type Dense } from './dense.js';
import type { KernelContext, Kernels } from './kernel.js';

/** Where output position `at` lies on the input axis. */
function coordinate(at: number, size: number, output: number, scale: number, mode: string): number {
  if (mode === 'asymmetric') return at / scale;
  if (mode === 'align_corners') return output === 1 ? 0 : (at * (size - 1)) / (output - 1);
  if (mode === 'pytorch_half_pixel' && output === 1) return 0;
  if (mode === 'half_pixel_symmetric')
    return size / 2 - (output / scale / 2) * (output / (scale * size)) + (at + 0.5) / scale - 0.5;
  return (at + 0.5) / scale - 0.5; // half_pixel
}

const roundNearest = (x: number, mode: string): number => {
  if (mode === 'floor') return Math.floor(x);
  if (mode === 'ceil') return Math.ceil(x);
  if (mode === 'round_prefer_ceil') return Math.floor(x + 0.5);
  return Math.ceil(x - 0.5); // round_prefer_floor
};

/**
 * Weights of neighbours at distances from `fraction` on: two for linear, four for cubic (Keys, with
 * coefficient a).
 */
function neighbours(x: number, mode: string, a: number): [offset: number, weight: number][] {
  const base = Math.floor(x),
    t = x - base;
  if (mode === 'linear')
    return [
      [base, 1 - t],
      [base + 1, t],
    ];
  invariant(mode === 'cubic', `Resize: mode ${mode} is not supported`);
  const near = (d: number): number => (a + 2) * d ** 3 - (a + 3) * d ** 2 + 1;
  const far = (d: number): number => a * (d ** 3 - 5 * d ** 2 + 8 * d - 4);
  return [
    [base - 1, far(1 + t)],
    [base, near(t)],
    [base + 1, near(1 - t)],
    [base + 2, far(2 - t)],
  ];
}

/** The matrix [output, size] of a Resize along one axis: every mode is linear in the input. */
export function resizeMatrix(size: number, output: number, scale: number, attributes: Attributes): Dense {
  const mode = textOf(attributes, 'mode', 'nearest'),
    where = textOf(attributes, 'coordinate_transformation_mode', 'half_pixel');
  invariant(
    where !== 'tf_crop_and_resize' && numberOf(attributes, 'antialias', 0) === 0,
    'Resize: cropping and antialiasing are not supported',
  );
  const matrix = dense('float64', [output, size]);
  const clamp = (i: number): number => Math.max(0, Math.min(size - 1, i));
  for (const at of range(output)) {
    const x = coordinate(at, size, output, scale, where);
    const taps: [number, number][] =
      mode === 'nearest'
        ? [[roundNearest(x, textOf(attributes, 'nearest_mode', 'round_prefer_floor')), 1]]
        : neighbours(
            mode === 'linear' ? Math.max(0, Math.min(size - 1, x)) : x,
            mode,
            numberOf(attributes, 'cubic_coeff_a', -0.75),
          );
    const kept = numberOf(attributes, 'exclude_outside', 0) === 1 ? taps.filter(([i]) => i >= 0 && i < size) : taps;
    const total = kept.reduce((sum, [, weight]) => sum + weight, 0);
    for (const [i, weight] of kept) matrix.data[at * size + clamp(i)]! += weight / total;
  }
  return matrix;
}

/** Replaces an axis of x by the product with a matrix [output, size]. */
function applyAlong(x: Dense, axis: number, matrix: Dense): Dense {
  const { outer, size, inner } = around(x.dims, axis),
    output = matrix.dims[0]!;
  const y = dense(
    x.dtype,
    x.dims.map((dim, i) => (i === axis ? output : dim)),
  );
  for (let o = 0; o < outer; o++) {
    for (let r = 0; r < output; r++) {
      for (let k = 0; k < size; k++) {
        const weight = matrix.data[r * size + k]!;
        if (weight === 0) continue;
        for (let i = 0; i < inner; i++)
          y.data[(o * output + r) * inner + i]! += weight * x.data[(o * size + k) * inner + i]!;
      }
    }
  }
  return y;
}

/** Per-axis scale and zero point of (De)QuantizeLinear, indexed by element. */
function perAxis(context: KernelContext): { scale: (i: number) => number; zero: (i: number) => number } {
  const x = context.input(0),
    scale = context.input(1).data,
    zero = context.inputs[2]?.data;
  const axis = axisOf(context.attributes, Math.max(1, x.dims.length), 1);
  const inner = sizeOf(x.dims.slice(axis + 1)),
    count = scale.length;
  const entry = (i: number): number => (count === 1 ? 0 : Math.floor(i / inner) % count);
  return { scale: (i) => scale[entry(i)]!, zero: (i) => zero?.[entry(i)] ?? 0 };
}

/** Resize, Upsample and quantisation. */
export const resampling: Kernels = {
  Resize: ({ input, inputs, attributes }) => {
    const x = input(0),
      rank = x.dims.length;
    const axes = listOf(attributes, 'axes')?.map((axis) => fromFront(axis, rank)) ?? range(rank);
    const scales = inputs[2]?.data.length ? inputs[2].data : undefined,
      sizes = inputs[3]?.data;
    invariant(scales || sizes, 'Resize: it has neither scales nor sizes');
    let y = x;
    axes.forEach((axis, i) => {
      const size = x.dims[axis]!,
        output = sizes ? sizes[i]! : Math.floor(size * scales![i]!),
        scale = scales ? scales[i]! : output / size;
      if (output !== size || scale !== 1) y = applyAlong(y, axis, resizeMatrix(size, output, scale, attributes));
    });
    return [y];
  },
  QuantizeLinear: (context) => {
    const x = context.input(0),
      { scale, zero } = perAxis(context),
      dtype = context.inputs[2]?.dtype ?? 'uint8';
    const limits: Record<string, [number, number]> = {
      int8: [-128, 127],
      uint8: [0, 255],
      int16: [-32768, 32767],
      uint16: [0, 65535],
    };
    const [low, high] = limits[dtype] ?? [-(2 ** 31), 2 ** 31 - 1];
    return [
      dense(
        dtype,
        x.dims,
        x.data.map((value, i) => Math.max(low, Math.min(high, roundHalfEven(value / scale(i)) + zero(i)))),
      ),
    ];
  },
  DequantizeLinear: (context) => {
    const x = context.input(0),
      { scale, zero } = perAxis(context);
    return [
      dense(
        context.input(1).dtype,
        x.dims,
        x.data.map((value, i) => (value - zero(i)) * scale(i)),
      ),
    ];
  },
};
