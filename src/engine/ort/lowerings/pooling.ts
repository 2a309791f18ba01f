import { sizeOf } from '../../../tensor.js';
import { ops, type Emitter, type Sized } from '../emitter.js';
import { windowAttributes, type Window } from './convolution.js';

/**
 * Gradient of MaxPool: each dy goes to the first largest element of its window, which MaxPool's own second output names as an
 * index into the whole of x; windows that share a largest element add up.
 */
export function maxPoolGradient(e: Emitter, dy: Sized, x: Sized, window: Window, ceilMode: number): Sized {
  const size = sizeOf(x.shape);
  const { group: _, ...attributes } = windowAttributes({ ...window, group: 1 });
  const [, indices] = e.emitAll('MaxPool', [x], { ...attributes, ceil_mode: ceilMode }, dy.shape, {
    more: [{ shape: dy.shape, dtype: 'int64' }],
  });
  const places = ops.reshape(e, indices!, [sizeOf(dy.shape)]);
  const values = ops.reshape(e, dy, [sizeOf(dy.shape)]);
  const zeros = e.emit('Expand', [ops.floats(e, [1], [0]), ops.ints(e, [size])], {}, [size]);
  return ops.reshape(e, e.emit('ScatterElements', [zeros, places, values], { axis: 0, reduction: 'add' }, [size]), x.shape);
}

/** How many elements the average of each window divides by: [1, 1, OH, OW]. */
function counts(window: Window, includePadding: boolean): Float32Array {
  const along = (axis: 0 | 1): number[] => Array.from({ length: window.output[axis] }, (_, position) => {
    const first = position * window.strides[axis] - window.before[axis];
    const limit = includePadding ? window.input[axis] + window.after[axis] : window.input[axis];
    let n = 0;
    for (let tap = 0; tap < window.kernel[axis]; tap++) {
      const place = first + tap * window.dilations[axis];
      if (place < limit && (includePadding || place >= 0)) n++;
    }
    return n;
  });
  const columns = along(1);
  return Float32Array.from(along(0).flatMap((rows) => columns.map((n) => rows * n)));
}

/** Gradient of AveragePool: dy / count spread over its window, a transposed convolution with ones over every plane. */
export function averagePoolGradient(
  e: Emitter, dy: Sized, shape: readonly number[], window: Window, includePadding: boolean,
): Sized {
  const planes = shape[0]! * shape[1]!;
  const [rows, columns] = window.output;
  const share = ops.floats(e, [1, 1, rows, columns], counts(window, includePadding).map((n) => 1 / n));
  const parts = ops.reshape(e, ops.mul(e, dy, share), [planes, 1, rows, columns]);
  const full = [0, 1].map((i) =>
    window.strides[i]! * (window.output[i]! - 1) + window.dilations[i]! * (window.kernel[i]! - 1) + 1);
  const ones = ops.floats(e, [1, 1, ...window.kernel], new Float32Array(window.kernel[0] * window.kernel[1]).fill(1));
  const spread = e.emit('ConvTranspose', [parts, ones], windowAttributes({
    ...window, group: 1, before: [0, 0], after: [0, 0],
  }), [planes, 1, ...full]);
  // take rows [before, before + H): what falls into the padding is dropped, what no window reached is zero
  const ends = [0, 1].map((i) => Math.min(full[i]!, window.before[i]! + window.input[i]!));
  const kept = ops.slice(e, spread, [2, 3], window.before, ends);
  const missing = [0, 1].map((i) => window.input[i]! - (ends[i]! - window.before[i]!));
  return ops.reshape(e, ops.pad(e, kept, [0, 0, 0, 0], [0, 0, ...missing]), shape);
}
