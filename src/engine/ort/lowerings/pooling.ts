import { sizeOf } from '../../../tensor.js';
import type { Emitter } from '../emitter.js';
import type { Sized } from '../sized.js';
import { windowAttributes, type Window } from './convolution.js';

/**
 * Gradient of MaxPool: each dy goes to the first largest element of its window, which MaxPool's own
 * second output names as an index into the whole of x; windows that share a largest element add up.
 */
export function maxPoolGradient(e: Emitter, dy: Sized, x: Sized, window: Window, ceilMode: number): Sized {
  const size = sizeOf(x.shape);
  const { group: _, ...attributes } = windowAttributes({ ...window, group: 1 });
  const [, indices] = e.emitAll('MaxPool', [x], { ...attributes, ceil_mode: ceilMode }, dy.shape, {
    more: [{ shape: dy.shape, dtype: 'int64' }],
  });
  const places = e.reshape(indices!, [sizeOf(dy.shape)]);
  const values = e.reshape(dy, [sizeOf(dy.shape)]);
  return e.reshape(
    e.emit('ScatterElements', [e.zeros([size]), places, values], { axis: 0, reduction: 'add' }, [size]),
    x.shape,
  );
}

/** Below every activation; padding with it is never the largest of a window. */
const lowest = -(2 - 2 ** -23) * 2 ** 127;

/**
 * Gradient of MaxPool without indices, for [N, C, H, W] plain (`block` 1) or in blocks of channels:
 * each dy goes to the first element of its window that equals y, tap by tap, and what was given
 * away is no longer there for later taps. Contributions are summed per phase (pixel mod stride),
 * then phases are interleaved. In memory an image is N C / block planes of pixels of `block`
 * numbers.
 */
export function maxPoolGradientByTaps(
  e: Emitter,
  [x, y, dy]: readonly [x: Sized, y: Sized, dy: Sized],
  window: Window,
  block = 1,
): Sized {
  const { strides, dilations, kernel, before, input, output } = window;
  const planes = (x.shape[0]! * x.shape[1]!) / block;
  // rows of every phase: the furthest tap begins at floor(d (k - 1) / s) of them
  const rows = [0, 1].map((i) => output[i]! + Math.floor((dilations[i]! * (kernel[i]! - 1)) / strides[i]!));
  const full = [0, 1].map((i) => Math.max(rows[i]! * strides[i]!, before[i]! + input[i]!));
  const after = [0, 1].map((i) => full[i]! - before[i]! - input[i]!);
  const padded = e.pad(e.reshape(x, [planes, ...input, block]), [0, ...before, 0], [0, ...after, 0], lowest);
  const largest = e.reshape(y, [planes, ...output, block]);

  const zero = e.floats([], [0]);
  const phases = new Map<string, Sized>();
  let rest = e.reshape(dy, largest.shape);
  for (let row = 0; row < kernel[0]; row++) {
    for (let column = 0; column < kernel[1]; column++) {
      const start = [row * dilations[0], column * dilations[1]];
      const end = [0, 1].map((i) => start[i]! + (output[i]! - 1) * strides[i]! + 1);
      let given = rest;
      // What no tap before has taken is the last one's.
      if (row < kernel[0] - 1 || column < kernel[1] - 1) {
        const tap = e.slice(padded, [1, 2], start, end, strides.every((n) => n === 1) ? undefined : [...strides]);
        const takes = e.emit('Equal', [tap, largest], {}, rest.shape, { dtype: 'bool' });
        given = e.emit('Where', [takes, rest, zero], {}, rest.shape, { dtype: 'float32' });
        rest = e.sub(rest, given);
      }
      const shift = [0, 1].map((i) => Math.floor(start[i]! / strides[i]!));
      const placed = e.pad(given, [0, ...shift, 0], [0, ...[0, 1].map((i) => rows[i]! - output[i]! - shift[i]!), 0]);
      const key = [0, 1].map((i) => start[i]! % strides[i]!).join();
      const sum = phases.get(key);
      phases.set(key, sum ? e.add(sum, placed) : placed);
    }
  }
  const whole = interleave(e, phases, [planes, rows[0]!, rows[1]!, block], strides);
  const missing = [0, 1].map((i) => Math.max(0, before[i]! + input[i]! - whole.shape[i + 1]!));
  const kept = e.pad(whole, [0, 0, 0, 0], [0, ...missing, 0]);
  return e.reshape(
    e.slice(
      kept,
      [1, 2],
      before,
      [0, 1].map((i) => before[i]! + input[i]!),
    ),
    x.shape,
  );
}

/**
 * Pixels [planes, H, W, block] by phase "row,column" put between each other: [planes, H rows, W
 * columns, block]; phases that are absent are zero.
 */
function interleave(
  e: Emitter,
  phases: ReadonlyMap<string, Sized>,
  shape: readonly number[],
  strides: readonly [number, number],
): Sized {
  const [planes, height, width, block] = shape as [number, number, number, number];
  const part = [planes * height, 1, width, 1, block];
  const lines = Array.from({ length: strides[0] }, (_, row) =>
    e.concat(
      Array.from({ length: strides[1] }, (_, column) => {
        const phase = phases.get(`${row},${column}`);
        return phase ? e.reshape(phase, part) : e.zeros(part);
      }),
      3,
    ),
  );
  return e.reshape(e.concat(lines, 1), [planes, height * strides[0], width * strides[1], block]);
}

/** How many elements the average of each window divides by: [1, 1, OH, OW]. */
function counts(window: Window, includePadding: boolean): Float32Array {
  const along = (axis: 0 | 1): number[] =>
    Array.from({ length: window.output[axis] }, (_, position) => {
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

/**
 * Gradient of AveragePool: dy / count spread over its window, a transposed convolution with ones
 * over every plane.
 */
export function averagePoolGradient(
  e: Emitter,
  dy: Sized,
  shape: readonly number[],
  window: Window,
  includePadding: boolean,
): Sized {
  const planes = shape[0]! * shape[1]!;
  const [rows, columns] = window.output;
  const share = e.floats(
    [1, 1, rows, columns],
    counts(window, includePadding).map((n) => 1 / n),
  );
  const parts = e.reshape(e.mul(dy, share), [planes, 1, rows, columns]);
  const full = [0, 1].map(
    (i) => window.strides[i]! * (window.output[i]! - 1) + window.dilations[i]! * (window.kernel[i]! - 1) + 1,
  );
  const ones = e.floats([1, 1, ...window.kernel], new Float32Array(window.kernel[0] * window.kernel[1]).fill(1));
  const spread = e.emit(
    'ConvTranspose',
    [parts, ones],
    windowAttributes({
      ...window,
      group: 1,
      before: [0, 0],
      after: [0, 0],
    }),
    [planes, 1, ...full],
  );
  // take rows [before, before + H): what falls into the padding is dropped, what no window reached
  // is zero
  const ends = [0, 1].map((i) => Math.min(full[i]!, window.before[i]! + window.input[i]!));
  const kept = e.slice(spread, [2, 3], window.before, ends);
  const missing = [0, 1].map((i) => window.input[i]! - (ends[i]! - window.before[i]!));
  return e.reshape(e.pad(kept, [0, 0, 0, 0], [0, 0, ...missing]), shape);
}
