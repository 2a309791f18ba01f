/**
 * Antialiased resampling with Pillow's arithmetic: weights of 22 fractional bits, along x first and rounded to bytes, then along y.
 *
 * A weight k is kept as k = 2048 high + low, both 16 bits wide, and taps are taken two at a time, so that one instruction multiplies
 * and adds eight 16-bit numbers: sum(p k) = (sum(p high) << 11) + sum(p low), exactly.
 */
const fractionBits: i32 = 22;
const half: i32 = 1 << (fractionBits - 1);

/** Triangle: 1 - |x| inside [-1, 1]. */
function triangle(x: f64): f64 {
  return max<f64>(0, 1 - abs(x));
}

/** Keys' cubic convolution with a = -0.5 (Keys 1981). */
function keys(x: f64): f64 {
  const a: f64 = -0.5;
  const t = abs(x);
  if (t < 1) return ((a + 2) * t - (a + 3)) * t * t + 1;
  if (t < 2) return (((t - 5) * t + 8) * t - 4) * a;
  return 0;
}

/**
 * Taps of one axis. At `target`: for each output position 8 bytes, the first source position and the number of pairs of taps; at
 * `weights`: `pairs` times 8 bytes for each, the high halves of two weights and the low halves. `row` holds `2 * pairs` doubles.
 */
export function taps(sourceSize: i32, start: f64, length: f64, outputSize: i32, cubic: bool, pairs: i32, target: usize, weights: usize, row: usize): void {
  const scale = length / <f64>outputSize;
  const stretch = max<f64>(scale, 1);
  const reach = (cubic ? 2.0 : 1.0) * stretch;
  for (let out = 0; out < outputSize; out++) {
    const centre = start + (<f64>out + 0.5) * scale;
    const low = max<i32>(0, <i32>(centre - reach + 0.5));
    const high = min<i32>(sourceSize, <i32>(centre + reach + 0.5));
    const count = high - low;
    let sum: f64 = 0;
    for (let i = 0; i < count; i++) {
      const x = (<f64>(i + low) - centre + 0.5) / stretch;
      const w = cubic ? keys(x) : triangle(x);
      sum += w;
      store<f64>(row + (<usize>i << 3), w);
    }
    store<i32>(target, low);
    store<i32>(target, (count + 1) >> 1, 4);
    let at = weights + <usize>out * (<usize>pairs << 3);
    for (let i = 0; i < count; i += 2, at += 8) {
      const first = fixed(load<f64>(row + (<usize>i << 3)) / sum);
      const second = i + 1 < count ? fixed(load<f64>(row + (<usize>(i + 1) << 3)) / sum) : 0;
      store<i16>(at, <i16>(first >> 11));
      store<i16>(at, <i16>(second >> 11), 2);
      store<i16>(at, <i16>(first & 2047), 4);
      store<i16>(at, <i16>(second & 2047), 6);
    }
    target += 8;
  }
}

/** A weight with `fractionBits` after the point, halves away from zero. */
// @ts-ignore: decorator
@inline
function fixed(weight: f64): i32 {
  const w = weight * <f64>(1 << fractionBits);
  return <i32>(w < 0 ? w - 0.5 : w + 0.5);
}

// @ts-ignore: decorator
@inline
function finish(high: v128, low: v128): v128 {
  return i32x4.shr_s(i32x4.add(i32x4.shl(high, 11), low), fractionBits);
}

/**
 * Rows of `width` pixels at `source` resampled along x to rows of `outputWidth` pixels at `target`. Two rows share the loads of weights.
 * Reads up to 8 bytes past the source.
 */
export function horizontal(source: usize, width: i32, rows: i32, target: usize, outputWidth: i32, at: usize, weights: usize, pairs: i32): void {
  const line = <usize>width * 3, outputLine = <usize>outputWidth * 3;
  const rounding = i32x4.splat(half);
  // Bytes r0 g0 b0 r1 g1 b1 to 16-bit r0 r1 g0 g1 b0 b1.
  const order = i8x16(0, -128, 3, -128, 1, -128, 4, -128, 2, -128, 5, -128, -128, -128, -128, -128);
  const last = outputWidth - 1;
  for (let y = 0; y < rows; y += 2) {
    const row0 = source + <usize>y * line, row1 = y + 1 < rows ? row0 + line : row0;
    let to0 = target + <usize>y * outputLine, to1 = y + 1 < rows ? to0 + outputLine : to0;
    let position = at;
    let w = weights;
    for (let x = 0; x < outputWidth; x++) {
      const offset = <usize>load<i32>(position) * 3;
      const count = load<i32>(position, 4);
      position += 8;
      let from0 = row0 + offset, from1 = row1 + offset;
      let k = w;
      let kHigh = v128.load32_splat(k), kLow = v128.load32_splat(k, 4);
      let a = i8x16.swizzle(v128.load64_zero(from0), order), b = i8x16.swizzle(v128.load64_zero(from1), order);
      let high0 = i32x4.dot_i16x8_s(a, kHigh), high1 = i32x4.dot_i16x8_s(b, kHigh);
      let low0 = i32x4.add(rounding, i32x4.dot_i16x8_s(a, kLow)), low1 = i32x4.add(rounding, i32x4.dot_i16x8_s(b, kLow));
      for (let i = 1; i < count; i++) {
        k += 8; from0 += 6; from1 += 6;
        kHigh = v128.load32_splat(k); kLow = v128.load32_splat(k, 4);
        a = i8x16.swizzle(v128.load64_zero(from0), order); b = i8x16.swizzle(v128.load64_zero(from1), order);
        high0 = i32x4.add(high0, i32x4.dot_i16x8_s(a, kHigh)); high1 = i32x4.add(high1, i32x4.dot_i16x8_s(b, kHigh));
        low0 = i32x4.add(low0, i32x4.dot_i16x8_s(a, kLow)); low1 = i32x4.add(low1, i32x4.dot_i16x8_s(b, kLow));
      }
      w += <usize>pairs << 3;
      const words = i16x8.narrow_i32x4_s(finish(high0, low0), finish(high1, low1));
      const bytes = i8x16.narrow_i16x8_u(words, words);
      if (x < last) {
        // The fourth byte is written over by the next pixel.
        v128.store32_lane(to0, bytes, 0);
        v128.store32_lane(to1, bytes, 1);
      } else {
        v128.store16_lane(to0, bytes, 0);
        v128.store8_lane(to0, bytes, 2, 2);
        v128.store16_lane(to1, bytes, 2);
        v128.store8_lane(to1, bytes, 6, 2);
      }
      to0 += 3; to1 += 3;
    }
  }
}

/**
 * `source`, rows of `line` bytes whose first is row `top` of the image, resampled along y to `outputHeight` rows at `target`. Reads and
 * writes up to 15 bytes past either; `height` is the number of rows of the image.
 */
export function vertical(source: usize, line: i32, top: i32, height: i32, target: usize, outputHeight: i32, at: usize, weights: usize, pairs: i32): void {
  const rounding = i32x4.splat(half);
  for (let y = 0; y < outputHeight; y++) {
    const first = load<i32>(at), count = load<i32>(at, 4);
    at += 8;
    const start = source + <usize>(first - top) * line;
    // The second tap of the last pair may not exist: its weight is 0, and the row before it is read in its place.
    const beyond = first + 2 * count > height;
    for (let x = 0; x < line; x += 16) {
      let high0 = i32x4.splat(0), high1 = high0, high2 = high0, high3 = high0;
      let low0 = rounding, low1 = rounding, low2 = rounding, low3 = rounding;
      let from = start + x, k = weights;
      for (let i = 0; i < count; i++) {
        const kHigh = v128.load32_splat(k), kLow = v128.load32_splat(k, 4);
        const a = v128.load(from), b = v128.load(beyond && i === count - 1 ? from : from + line);
        const near = i8x16.shuffle(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
        const far = i8x16.shuffle(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
        let pair = i16x8.extend_low_i8x16_u(near);
        high0 = i32x4.add(high0, i32x4.dot_i16x8_s(pair, kHigh)); low0 = i32x4.add(low0, i32x4.dot_i16x8_s(pair, kLow));
        pair = i16x8.extend_high_i8x16_u(near);
        high1 = i32x4.add(high1, i32x4.dot_i16x8_s(pair, kHigh)); low1 = i32x4.add(low1, i32x4.dot_i16x8_s(pair, kLow));
        pair = i16x8.extend_low_i8x16_u(far);
        high2 = i32x4.add(high2, i32x4.dot_i16x8_s(pair, kHigh)); low2 = i32x4.add(low2, i32x4.dot_i16x8_s(pair, kLow));
        pair = i16x8.extend_high_i8x16_u(far);
        high3 = i32x4.add(high3, i32x4.dot_i16x8_s(pair, kHigh)); low3 = i32x4.add(low3, i32x4.dot_i16x8_s(pair, kLow));
        from += 2 * line; k += 8;
      }
      v128.store(target + x, i8x16.narrow_i16x8_u(
        i16x8.narrow_i32x4_s(finish(high0, low0), finish(high1, low1)), i16x8.narrow_i32x4_s(finish(high2, low2), finish(high3, low3))));
    }
    target += line;
    weights += <usize>pairs << 3;
  }
}
