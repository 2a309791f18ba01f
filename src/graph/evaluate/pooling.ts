import { numberOf, requiredList } from '../attributes.js';
import { sizeOf } from '../../tensor.js';
import type { Attributes } from '../graph.js';
import { windowOf } from '../window.js';
import { dense, type Dense } from './dense.js';
import type { Kernel, Kernels } from './kernel.js';

/**
 * For one output position: the elements of a plane under the window, in scan order, and how many
 * count in an average.
 */
interface Place {
  readonly under: readonly number[];
  readonly divisor: number;
}

/** The places of a pooling window over a plane of sizes `dims`, in output order. */
function placesOf(attributes: Attributes, dims: readonly number[]): { output: readonly number[]; places: Place[] } {
  const { kernel, strides, dilations, begin, end, output } = windowOf(attributes, dims);
  const padded = numberOf(attributes, 'count_include_pad', 0) === 1;
  let places: Place[] = [{ under: [0], divisor: 1 }];
  dims.forEach((size, axis) => {
    const along = Array.from({ length: output[axis]! }, (_, o): Place => {
      const taps = Array.from(
        { length: kernel[axis]! },
        (_, k) => o * strides[axis]! - begin[axis]! + k * dilations[axis]!,
      );
      const under = taps.filter((tap) => tap >= 0 && tap < size);
      return { under, divisor: padded ? taps.filter((tap) => tap < size + end[axis]!).length : under.length };
    });
    places = places.flatMap((place) =>
      along.map(({ under, divisor }): Place => ({
        under: place.under.flatMap((outer) => under.map((inner) => outer * size + inner)),
        divisor: place.divisor * divisor,
      })),
    );
  });
  return { output, places };
}

/**
 * Computes each plane of [N, C, ...] apart: `f` gets a place, where the input plane starts and the
 * output position.
 */
function pool(
  xDims: readonly number[],
  attributes: Attributes,
  f: (place: Place, plane: number, at: number) => void,
): number[] {
  const { output, places } = placesOf(attributes, xDims.slice(2));
  const planes = xDims[0]! * xDims[1]!,
    size = sizeOf(xDims.slice(2));
  for (let p = 0; p < planes; p++) places.forEach((place, i) => f(place, p * size, p * places.length + i));
  return [xDims[0]!, xDims[1]!, ...output];
}

const outputOf = (x: Dense, attributes: Attributes): Dense =>
  dense(x.dtype, [x.dims[0]!, x.dims[1]!, ...windowOf(attributes, x.dims.slice(2)).output]);

/**
 * The first of the largest elements under a window, or -1; NaN counts as largest, as in PyTorch.
 */
function firstMaximum(x: Dense, place: Place, plane: number): number {
  let best = -1;
  for (const offset of place.under) {
    const value = x.data[plane + offset]!;
    if (best < 0 || value > x.data[best]! || (Number.isNaN(value) && !Number.isNaN(x.data[best]!)))
      best = plane + offset;
  }
  return best;
}

const whole =
  (kernel: Kernel): Kernel =>
  (context) => {
    const attributes = { kernel_shape: context.input(0).dims.slice(2) };
    return kernel({ ...context, attributes, outputCount: 1 });
  };

const maxPool: Kernel = ({ input, attributes, outputCount }) => {
  const x = input(0),
    y = outputOf(x, attributes),
    indices = dense('int64', y.dims);
  pool(x.dims, attributes, (place, plane, at) => {
    const best = firstMaximum(x, place, plane);
    y.data[at] = best < 0 ? -Infinity : x.data[best]!;
    indices.data[at] = best;
  });
  return [y, indices].slice(0, outputCount);
};

const averagePool: Kernel = ({ input, attributes }) => {
  const x = input(0),
    y = outputOf(x, attributes);
  pool(x.dims, attributes, (place, plane, at) => {
    let sum = 0;
    for (const offset of place.under) sum += x.data[plane + offset]!;
    y.data[at] = sum / place.divisor;
  });
  return [y];
};

/** Pools and their gradients. */
export const pooling: Kernels = {
  MaxPool: maxPool,
  AveragePool: averagePool,
  GlobalMaxPool: whole(maxPool),
  GlobalAveragePool: whole(averagePool),
  MaxPoolGrad: ({ input, attributes }) => {
    const x = input(0),
      dy = input(2),
      dx = dense(x.dtype, x.dims);
    pool(x.dims, attributes, (place, plane, at) => {
      const best = firstMaximum(x, place, plane);
      if (best >= 0) dx.data[best]! += dy.data[at]!;
    });
    return [dx];
  },
  AveragePoolGrad: ({ input, attributes }) => {
    const dy = input(0),
      dx = dense(dy.dtype, requiredList(attributes, 'input_shape'));
    pool(dx.dims, attributes, (place, plane, at) => {
      for (const offset of place.under) dx.data[plane + offset]! += dy.data[at]! / place.divisor;
    });
    return [dx];
  },
};
