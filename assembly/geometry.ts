/** Kernels that move pixels. */

/** Each row backwards. Reads up to 16 bytes before the source and writes up to 16 past the end. */
export function mirror(source: usize, target: usize, width: i32, height: i32): void {
  const line = <usize>width * 3;
  const order = i8x16(13, 14, 15, 10, 11, 12, 7, 8, 9, 4, 5, 6, 1, 2, 3, -128);
  for (let y = 0; y < height; y++, source += line, target += line) {
    // Five pixels at a time; what is written past the row is written over by the next.
    let from = source + line - 16;
    for (let x: usize = 0; x < line; x += 15, from -= 15) v128.store(target + x, i8x16.swizzle(v128.load(from), order));
  }
}

/** The first i with start + i step >= 0, within [0, length]; step > 0. */
// @ts-ignore: decorator
@inline
function firstNotBelow(start: f64, step: f64, length: i32): i32 {
  return start >= 0 ? 0 : <i32>min<f64>(<f64>length, Math.ceil(-start / step));
}

/** Pixels of `fill` (red, green, blue, red from the lowest byte) from `at` on. Writes one byte past the end. */
// @ts-ignore: decorator
@inline
function paint(at: usize, count: i32, fill: u32): void {
  for (let i = 0; i < count; i++, at += 3) store<u32>(at, fill);
}

/**
 * Nearest pixels under an affine map in 16.16 fixed point: output (x, y) is source ((startX + x stepX + y downX) >> 16, ...), `fill` where
 * that is outside.
 */
export function nearest(
  source: usize, target: usize, width: i32, height: i32, startX: f64, startY: f64, stepX: f64, stepY: f64, downX: f64, downY: f64, fill: u32,
): void {
  const limitX = <f64>width * 65536, limitY = <f64>height * 65536;
  const line = <usize>width * 3;
  const acrossX = <i32>stepX, acrossY = <i32>stepY;
  for (let y = 0; y < height; y++, target += line, startX += downX, startY += downY) {
    // 0 <= startX + i stepX < limitX and the same along y.
    let from = 0, to = width;
    if (stepX > 0) {
      from = firstNotBelow(startX, stepX, width);
      to = firstNotBelow(startX - limitX, stepX, width);
    } else if (stepX < 0) {
      from = firstNotBelow(limitX - 1 - startX, -stepX, width);
      to = firstNotBelow(-1 - startX, -stepX, width);
    } else if (startX < 0 || startX >= limitX) to = 0;
    if (stepY > 0) {
      from = max<i32>(from, firstNotBelow(startY, stepY, width));
      to = min<i32>(to, firstNotBelow(startY - limitY, stepY, width));
    } else if (stepY < 0) {
      from = max<i32>(from, firstNotBelow(limitY - 1 - startY, -stepY, width));
      to = min<i32>(to, firstNotBelow(-1 - startY, -stepY, width));
    } else if (startY < 0 || startY >= limitY) to = 0;
    if (from >= to) {
      paint(target, width, fill);
      continue;
    }
    paint(target, from, fill);
    let sourceX = <i32>(startX + <f64>from * stepX), sourceY = <i32>(startY + <f64>from * stepY);
    const end = target + <usize>to * 3;
    // Four bytes a pixel; the fourth is written over by the next one.
    for (let at = target + <usize>from * 3; at < end; at += 3, sourceX += acrossX, sourceY += acrossY) {
      store<u32>(at, load<u32>(source + <usize>((sourceY >> 16) * width + (sourceX >> 16)) * 3));
    }
    paint(end, width - to, fill);
  }
}
