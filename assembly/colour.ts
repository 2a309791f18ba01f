/** Kernels that look at one pixel, or at all of them, for its colour; Pillow's arithmetic to the byte. */

/** Every byte through a table of 256. */
export function lookUp(source: usize, target: usize, length: usize, table: usize): void {
  const end = source + length;
  for (; source < end; source += 8, target += 8) {
    const a = load<u32>(source), b = load<u32>(source, 4);
    const c = <u32>load<u8>(table + (a & 255)) | <u32>load<u8>(table + (a >> 8 & 255)) << 8
      | <u32>load<u8>(table + (a >> 16 & 255)) << 16 | <u32>load<u8>(table + (a >> 24)) << 24;
    const d = <u32>load<u8>(table + (b & 255)) | <u32>load<u8>(table + (b >> 8 & 255)) << 8
      | <u32>load<u8>(table + (b >> 16 & 255)) << 16 | <u32>load<u8>(table + (b >> 24)) << 24;
    store<u32>(target, c);
    store<u32>(target, d, 4);
  }
}

/** Every channel through its own table of 256; four pixels at a time. */
export function lookUpChannels(source: usize, target: usize, length: usize, table: usize): void {
  const end = source + length;
  for (; source < end; source += 12, target += 12) {
    const a = load<u32>(source), b = load<u32>(source, 4), c = load<u32>(source, 8);
    store<u32>(target, <u32>load<u8>(table + (a & 255)) | <u32>load<u8>(table + (a >> 8 & 255), 256) << 8
      | <u32>load<u8>(table + (a >> 16 & 255), 512) << 16 | <u32>load<u8>(table + (a >> 24)) << 24);
    store<u32>(target, <u32>load<u8>(table + (b & 255), 256) | <u32>load<u8>(table + (b >> 8 & 255), 512) << 8
      | <u32>load<u8>(table + (b >> 16 & 255)) << 16 | <u32>load<u8>(table + (b >> 24), 256) << 24, 4);
    store<u32>(target, <u32>load<u8>(table + (c & 255), 512) | <u32>load<u8>(table + (c >> 8 & 255)) << 8
      | <u32>load<u8>(table + (c >> 16 & 255), 256) << 16 | <u32>load<u8>(table + (c >> 24), 512) << 24, 8);
  }
}

// @ts-ignore: decorator
@inline
function count(bins: usize, value: u32): void {
  const at = bins + (<usize>value << 2);
  store<u32>(at, load<u32>(at) + 1);
}

/**
 * How often each byte occurs in each channel: 3 x 256 numbers at `bins`, of which four sets are used, for neighbours are often alike and
 * would wait for each other.
 */
export function countChannels(source: usize, pixels: usize, bins: usize): void {
  memory.fill(bins, 0, 4 * 3072);
  const end = source + pixels * 3, four = source + (pixels & ~3) * 3;
  for (; source < four; source += 12) {
    const a = load<u32>(source), b = load<u32>(source, 4), c = load<u32>(source, 8);
    count(bins, a & 255); count(bins + 1024, a >> 8 & 255); count(bins + 2048, a >> 16 & 255);
    count(bins + 3072, a >> 24); count(bins + 4096, b & 255); count(bins + 5120, b >> 8 & 255);
    count(bins + 6144, b >> 16 & 255); count(bins + 7168, b >> 24); count(bins + 8192, c & 255);
    count(bins + 9216, c >> 8 & 255); count(bins + 10240, c >> 16 & 255); count(bins + 11264, c >> 24);
  }
  for (; source < end; source += 3) {
    count(bins, load<u8>(source)); count(bins + 1024, load<u8>(source, 1)); count(bins + 2048, load<u8>(source, 2));
  }
  for (let i: usize = 0; i < 3072; i += 16) {
    v128.store(bins + i, i32x4.add(i32x4.add(v128.load(bins + i), v128.load(bins + i, 3072)), i32x4.add(v128.load(bins + i, 6144), v128.load(bins + i, 9216))));
  }
}

/** Luma of four pixels, (19595 r + 38470 g + 7471 b + 2^15) >> 16; green is taken twice, as its weight needs 17 bits. */
// @ts-ignore: decorator
@inline
function luma(bytes: v128): v128 {
  const redGreen = i8x16.swizzle(bytes, i8x16(0, -128, 1, -128, 3, -128, 4, -128, 6, -128, 7, -128, 9, -128, 10, -128));
  const greenBlue = i8x16.swizzle(bytes, i8x16(1, -128, 2, -128, 4, -128, 5, -128, 7, -128, 8, -128, 10, -128, 11, -128));
  const sum = i32x4.add(i32x4.dot_i16x8_s(redGreen, i32x4.splat(19595 | 19235 << 16)), i32x4.dot_i16x8_s(greenBlue, i32x4.splat(19235 | 7471 << 16)));
  return i32x4.shr_s(i32x4.add(sum, i32x4.splat(0x8000)), 16);
}

/** The sum of the luma of all pixels. */
export function sumLuma(source: usize, pixels: usize): f64 {
  const end = source + (pixels & ~3) * 3;
  let total: f64 = 0;
  while (source < end) {
    let sums = i32x4.splat(0);
    const stop = min<usize>(end, source + 12 * 65536);
    for (; source < stop; source += 12) sums = i32x4.add(sums, luma(v128.load(source)));
    total += <f64>i32x4.extract_lane(sums, 0) + <f64>i32x4.extract_lane(sums, 1) + <f64>i32x4.extract_lane(sums, 2) + <f64>i32x4.extract_lane(sums, 3);
  }
  for (let i: usize = 0; i < (pixels & 3); i++, source += 3) {
    total += <f64>((<i32>load<u8>(source) * 19595 + <i32>load<u8>(source, 1) * 38470 + <i32>load<u8>(source, 2) * 7471 + 0x8000) >> 16);
  }
  return total;
}

/** from + factor (to - from) in single precision, truncated. */
// @ts-ignore: decorator
@inline
function blend(from: v128, to: v128, factor: v128): v128 {
  return i32x4.trunc_sat_f32x4_s(f32x4.add(f32x4.convert_i32x4_s(from), f32x4.mul(factor, f32x4.convert_i32x4_s(i32x4.sub(to, from)))));
}

/** Each pixel blended with its own grey. Writes up to 16 bytes past the end. */
export function saturate(source: usize, target: usize, pixels: usize, factor: f32): void {
  const f = f32x4.splat(factor), end = source + pixels * 3;
  for (; source < end; source += 12, target += 12) {
    const bytes = v128.load(source);
    const grey = luma(bytes);
    const red = blend(grey, i8x16.swizzle(bytes, i8x16(0, -128, -128, -128, 3, -128, -128, -128, 6, -128, -128, -128, 9, -128, -128, -128)), f);
    const green = blend(grey, i8x16.swizzle(bytes, i8x16(1, -128, -128, -128, 4, -128, -128, -128, 7, -128, -128, -128, 10, -128, -128, -128)), f);
    const blue = blend(grey, i8x16.swizzle(bytes, i8x16(2, -128, -128, -128, 5, -128, -128, -128, 8, -128, -128, -128, 11, -128, -128, -128)), f);
    const planes = i8x16.narrow_i16x8_u(i16x8.narrow_i32x4_s(red, green), i16x8.narrow_i32x4_s(blue, blue));
    v128.store(target, i8x16.swizzle(planes, i8x16(0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11, -128, -128, -128, -128)));
  }
}

/** The three pixels around each of eight bytes of a row, summed. */
// @ts-ignore: decorator
@inline
function three(at: usize): v128 {
  return i16x8.add(v128.load8x8_u(at), i16x8.add(v128.load8x8_u(at, 3), v128.load8x8_u(at, 6)));
}

/** Sums over 13, rounded: exact for every sum up to 13 * 255. */
// @ts-ignore: decorator
@inline
function thirteenth(sum: v128): v128 {
  return i32x4.shr_s(i32x4.mul(i32x4.add(sum, i32x4.splat(6)), i32x4.splat(20165)), 18);
}

/**
 * Blended with the image smoothed by (1 1 1, 1 5 1, 1 1 1) / 13; pixels of the border are kept. Both sides are at least 3 pixels. Writes up
 * to 8 bytes past the end.
 */
export function sharpen(source: usize, target: usize, width: i32, height: i32, factor: f32): void {
  const line = <usize>width * 3, f = f32x4.splat(factor);
  memory.copy(target, source, line);
  for (let y = 1; y < height - 1; y++) {
    source += line; target += line;
    const before = source - line, after = source + line;
    for (let x: usize = 3; x < line - 3; x += 8) {
      const centre = v128.load8x8_u(source + x);
      const sum = i16x8.add(i16x8.add(three(before + x - 3), three(source + x - 3)), i16x8.add(three(after + x - 3), i16x8.shl(centre, 2)));
      v128.store64_lane(target + x, i8x16.narrow_i16x8_u(i16x8.narrow_i32x4_s(
        blend(thirteenth(i32x4.extend_low_i16x8_s(sum)), i32x4.extend_low_i16x8_s(centre), f),
        blend(thirteenth(i32x4.extend_high_i16x8_s(sum)), i32x4.extend_high_i16x8_s(centre), f)), centre), 0);
    }
    store<u16>(target, load<u16>(source));
    store<u8>(target, load<u8>(source, 2), 2);
    store<u16>(target + line - 3, load<u16>(source + line - 3));
    store<u8>(target + line - 3, load<u8>(source + line - 3, 2), 2);
  }
  memory.copy(target + line, source + line, line);
}
