// Note from the coordinator to V (remove this line): image codecs come from a well-kept library in this project (brief, "How to work"). Please drop our own JPEG decoder (assembly/jpeg.ts and the parts of image/jpeg.ts that decode) and use @julusian/jpeg-turbo 2.3 as optionalDependency (measured: 0.33 ms CPU a flower photo against sharp 1.45, throws on truncated data; prebuilt, Node 20) or @napi-rs/image (0.6 ms), behind your header checks, sharp behind that. The compiled resize is fine if it is bit-equal and clearly faster; keep the plain path. Then bench.
/**
 * Sequential JPEG (ITU T.81) to RGB with the arithmetic of the IJG's library and its faster descendants, bit for bit: the accurate integer
 * inverse DCT (Loeffler, Ligtenberg and Moschytz 1989), triangle ("fancy") upsampling of chroma, BT.601 in 16-bit fixed point.
 *
 * Anything odd in the data makes `decodeScan` give up: the caller has a slower decoder that knows what to do.
 */

// A table of Huffman codes, laid out by `buildHuffman`.
/** For each of the next `lookBits` bits: code length << 8 | symbol, 0 where the code is longer. u16. */
const shortCodes: usize = 0;
const lookBits: i32 = 10;
/** AC only, for each of the next `lookBits` bits: value << 16 | zeros before it << 8 | bits of code and value together; 0 where longer. i32. */
const coefficients: usize = 2 << lookBits;
/** For each length the largest code with it, left-aligned to 16 bits, -1 where none. i32, from length 0. */
const largest: usize = coefficients + (4 << lookBits);
/** For each length what to add to a code for its place in `symbols`. i32. */
const offsets: usize = largest + 18 * 4;
const symbols: usize = offsets + 18 * 4;
/** Zeros "before" the end of a block, more than a block has. */
const endOfBlock: i32 = 64;

/**
 * Tables for the codes of `spec`: 16 counts by length, then the symbols. 8,192 bytes at `table` are used. False when the counts are impossible.
 */
export function buildHuffman(spec: usize, table: usize, ac: bool): bool {
  memory.fill(table, 0, symbols + 256);
  let code: i32 = 0, place: i32 = 0;
  for (let length = 1; length <= 16; length++) {
    const count = <i32>load<u8>(spec + length - 1);
    store<i32>(table + offsets + (<usize>length << 2), place - code);
    if (code + count > 1 << length) return false;
    if (length <= lookBits) {
      for (let i = 0; i < count; i++) {
        const symbol = <i32>load<u8>(spec + 16 + place + i);
        const from = (code + i) << (lookBits - length), to = from + (1 << (lookBits - length));
        for (let bits = from; bits < to; bits++) {
          store<u16>(table + shortCodes + (<usize>bits << 1), <u16>(length << 8 | symbol));
          if (ac) store<i32>(table + coefficients + (<usize>bits << 2), coefficient(bits, length, symbol));
        }
      }
    }
    code += count; place += count;
    store<i32>(table + largest + (<usize>length << 2), count > 0 ? (code - 1) << (16 - length) | (1 << (16 - length)) - 1 : -1);
    code <<= 1;
  }
  if (place > 256) return false;
  if (!ac) for (let i = 0; i < place; i++) if (load<u8>(spec + 16 + i) > 15) return false;
  memory.copy(table + symbols, spec + 16, place);
  return true;
}

/** The entry of `coefficients` for bits that begin with a code of `length` bits; 0 where the value does not fit after it. */
function coefficient(bits: i32, length: i32, symbol: i32): i32 {
  const size = symbol & 15, zeros = symbol >> 4;
  if (size === 0) return symbol === 0 ? endOfBlock << 8 | length : symbol === 0xf0 ? 15 << 8 | length : 0;
  if (length + size > lookBits) return 0;
  const value = bits >> (lookBits - length - size) & (1 << size) - 1;
  return extend(value, size) << 16 | zeros << 8 | length + size;
}

/** A value of `size` bits: the lower half of the range stands for negative numbers. */
// @ts-ignore: decorator
@inline
function extend(value: i32, size: i32): i32 {
  return value < 1 << (size - 1) ? value - (1 << size) + 1 : value;
}

/** The place in a block (row by row) of each coefficient of the zigzag; what is past 63 goes to place 63. */
const zigzag = memory.data<u8>([
  0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28,
  35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
]);

const block = memory.data(128, 16);

// Fields of a component, i32 each.
const horizontalBlocks: usize = 0, verticalBlocks: usize = 4, quantizers: usize = 8, dcTable: usize = 12, acTable: usize = 16,
  plane: usize = 20, stride: usize = 24, previous: usize = 28;
const componentSize: usize = 32;

/** Which bytes of four are 0xff: nonzero if any. */
// @ts-ignore: decorator
@inline
function hasMarker(word: u32): bool {
  return ((~word - 0x01010101) & word & 0x80808080) !== 0;
}

/**
 * Decodes the entropy-coded data from `position` into the components' planes of samples. Returns the position behind it, which is a
 * marker's, or 0 when the data are corrupt, end early or have bytes to spare.
 */
export function decodeScan(
  start: usize, end: usize, components: usize, count: i32, unitsAcross: i32, unitsDown: i32, restartInterval: i32,
): usize {
  let position = start;
  let bits: u64 = 0;
  /** Bits in `bits`, and how many of those are zeros made up after the end. */
  let held: i32 = 0, made: i32 = 0;
  let untilRestart = restartInterval, nextRestart: i32 = 0;
  for (let c = 0; c < count; c++) store<i32>(components + <usize>c * componentSize, 0, previous);

  for (let unitY = 0; unitY < unitsDown; unitY++) {
    for (let unitX = 0; unitX < unitsAcross; unitX++) {
      if (restartInterval > 0 && untilRestart-- === 0) {
        if (made > held || held - made > 7) return 0;
        if (position + 2 > end || load<u8>(position) !== 0xff || load<u8>(position, 1) !== <u8>(0xd0 + nextRestart)) return 0;
        position += 2;
        nextRestart = (nextRestart + 1) & 7;
        untilRestart = restartInterval - 1;
        bits = 0; held = 0; made = 0;
        for (let c = 0; c < count; c++) store<i32>(components + <usize>c * componentSize, 0, previous);
      }
      for (let c = 0; c < count; c++) {
        const component = components + <usize>c * componentSize;
        const across = load<i32>(component, horizontalBlocks), down = load<i32>(component, verticalBlocks);
        const dc = load<i32>(component, dcTable) as usize, ac = load<i32>(component, acTable) as usize;
        const line = load<i32>(component, stride);
        for (let v = 0; v < down; v++) {
          for (let h = 0; h < across; h++) {
            v128.store(block, i64x2.splat(0)); v128.store(block, i64x2.splat(0), 16);
            v128.store(block, i64x2.splat(0), 32); v128.store(block, i64x2.splat(0), 48);
            v128.store(block, i64x2.splat(0), 64); v128.store(block, i64x2.splat(0), 80);
            v128.store(block, i64x2.splat(0), 96); v128.store(block, i64x2.splat(0), 112);
            let k = 0, lastPlace = 0;
            while (k < 64) {
              // At least 33 bits: the longest code with the longest value has 32.
              if (held <= 32) {
                const word = bswap(load<u32>(position));
                if (position + 4 <= end && !hasMarker(word)) {
                  bits = bits << 32 | <u64>word;
                  held += 32;
                  position += 4;
                } else {
                  do {
                    let byte: u64 = 0;
                    if (position < end && load<u8>(position) !== 0xff) byte = load<u8>(position++);
                    else if (position + 1 < end && load<u8>(position, 1) === 0) { byte = 0xff; position += 2; }
                    else made += 8;
                    bits = bits << 8 | byte;
                    held += 8;
                  } while (held <= 56);
                }
              }
              const next = <i32>(bits >> (held - lookBits)) & (1 << lookBits) - 1;
              if (k > 0) {
                const entry = load<i32>(ac + coefficients + (<usize>next << 2));
                if (entry !== 0) {
                  held -= entry & 255;
                  k += entry >> 8 & 255;
                  if (k >= 64) {
                    if (entry >> 8 & 255 & endOfBlock) break;
                    return 0;
                  }
                  lastPlace = <i32>load<u8>(zigzag + k++);
                  store<i16>(block + (<usize>lastPlace << 1), <i16>(entry >> 16));
                  continue;
                }
              }
              const table = k > 0 ? ac : dc;
              let length = <i32>load<u16>(table + shortCodes + (<usize>next << 1));
              let symbol = length & 255;
              length >>= 8;
              if (length === 0) {
                const code = <i32>(bits >> (held - 16)) & 0xffff;
                length = lookBits + 1;
                while (length <= 16 && code > load<i32>(table + largest + (<usize>length << 2))) length++;
                if (length > 16) return 0;
                symbol = <i32>load<u8>(table + symbols + ((code >> (16 - length)) + load<i32>(table + offsets + (<usize>length << 2))));
              }
              held -= length;
              const size = symbol & 15;
              if (k === 0) {
                if (symbol > 11) return 0;
                const sum = load<i32>(component, previous)
                  + (size > 0 ? extend(<i32>(bits >> (held - size)) & (1 << size) - 1, size) : 0);
                held -= size;
                store<i32>(component, sum, previous);
                store<i16>(block, <i16>sum);
                k = 1;
              } else {
                if (symbol === 0) break; // the end of the block
                if (size === 0 && symbol !== 0xf0) return 0;
                k += symbol >> 4;
                if (k > 63) return 0;
                if (size === 0) {
                  k++;
                  continue;
                }
                lastPlace = <i32>load<u8>(zigzag + k++);
                store<i16>(block + (<usize>lastPlace << 1), <i16>extend(<i32>(bits >> (held - size)) & (1 << size) - 1, size));
                held -= size;
              }
            }
            const target = <usize>load<i32>(component, plane) + (<usize>(unitY * down + v) * line + <usize>(unitX * across + h) << 3);
            if (lastPlace === 0) flat(load<i32>(component, quantizers) as usize, target, line);
            else inverse(load<i32>(component, quantizers) as usize, target, line);
          }
        }
      }
      if (made > held) return 0;
    }
  }
  // Everything was used, up to the rest of the last byte, and nothing that was not there.
  return made <= held && held - made <= 7 ? position : 0;
}

/** A block of nothing but its mean. */
function flat(quantizer: usize, target: usize, line: i32): void {
  const dc = <i32><i16>(<i32>load<i16>(block) * <i32>load<i16>(quantizer));
  const value = min<i32>(255, max<i32>(0, (<i32><i16>(dc << 2) + 16 >> 5) + 128));
  const row = i8x16.splat(<i8>value);
  for (let y = 0; y < 8; y++, target += line) v128.store64_lane(target, row, 0);
}

// @ts-ignore: decorator
@inline
function low(a: v128, b: v128): v128 {
  return i16x8.shuffle(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
}

// @ts-ignore: decorator
@inline
function high(a: v128, b: v128): v128 {
  return i16x8.shuffle(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
}

/** a x + b y of the pairs (x, y) in a vector. */
// @ts-ignore: decorator
@inline
function pair(v: v128, a: i32, b: i32): v128 {
  return i32x4.dot_i16x8_s(v, i32x4.splat(a & 0xffff | b << 16));
}

let r0: v128, r1: v128, r2: v128, r3: v128, r4: v128, r5: v128, r6: v128, r7: v128;

/** The inverse DCT of `block` times its quantizers, 8 x 8 samples at `target`. */
function inverse(quantizer: usize, target: usize, line: i32): void {
  const v0 = i16x8.mul(v128.load(block), v128.load(quantizer)), v1 = i16x8.mul(v128.load(block, 16), v128.load(quantizer, 16));
  const v2 = i16x8.mul(v128.load(block, 32), v128.load(quantizer, 32)), v3 = i16x8.mul(v128.load(block, 48), v128.load(quantizer, 48));
  const v4 = i16x8.mul(v128.load(block, 64), v128.load(quantizer, 64)), v5 = i16x8.mul(v128.load(block, 80), v128.load(quantizer, 80));
  const v6 = i16x8.mul(v128.load(block, 96), v128.load(quantizer, 96)), v7 = i16x8.mul(v128.load(block, 112), v128.load(quantizer, 112));
  // Down the columns, 2 bits more precise than the result, then along the rows.
  transform(v0, v1, v2, v3, v4, v5, v6, v7, 11);
  transpose();
  transform(r0, r1, r2, r3, r4, r5, r6, r7, 18);
  transpose();
  const middle = i8x16.splat(-128);
  const rows01 = v128.xor(i8x16.narrow_i16x8_s(r0, r1), middle), rows23 = v128.xor(i8x16.narrow_i16x8_s(r2, r3), middle);
  const rows45 = v128.xor(i8x16.narrow_i16x8_s(r4, r5), middle), rows67 = v128.xor(i8x16.narrow_i16x8_s(r6, r7), middle);
  v128.store64_lane(target, rows01, 0); target += line;
  v128.store64_lane(target, rows01, 1); target += line;
  v128.store64_lane(target, rows23, 0); target += line;
  v128.store64_lane(target, rows23, 1); target += line;
  v128.store64_lane(target, rows45, 0); target += line;
  v128.store64_lane(target, rows45, 1); target += line;
  v128.store64_lane(target, rows67, 0); target += line;
  v128.store64_lane(target, rows67, 1);
}

// sqrt(2) cos and sines of the flow graph, times 2^13.
const c0298: i32 = 2446, c0390: i32 = 3196, c0541: i32 = 4433, c0765: i32 = 6270, c0899: i32 = 7373, c1175: i32 = 9633,
  c1501: i32 = 12299, c1847: i32 = 15137, c1961: i32 = 16069, c2053: i32 = 16819, c2562: i32 = 20995, c3072: i32 = 25172;

/** Eight one-dimensional transforms side by side, divided by 2^shift and rounded, into r0 to r7. */
// @ts-ignore: decorator
@inline
function transform(v0: v128, v1: v128, v2: v128, v3: v128, v4: v128, v5: v128, v6: v128, v7: v128, shift: i32): void {
  const sum04 = i16x8.add(v0, v4), less04 = i16x8.sub(v0, v4), sum73 = i16x8.add(v7, v3), sum51 = i16x8.add(v5, v1);
  const rounding = i32x4.splat(1 << (shift - 1));
  // Four columns at a time: the sums need 32 bits.
  let even = low(v2, v6), ends = low(sum04, less04), a = low(v7, v1), b = low(v5, v3), z = low(sum73, sum51);
  let t2 = pair(even, c0541, c0541 - c1847), t3 = pair(even, c0541 + c0765, c0541);
  let t0 = i32x4.add(pair(ends, 8192, 0), rounding), t1 = i32x4.add(pair(ends, 0, 8192), rounding);
  let t10 = i32x4.add(t0, t3), t13 = i32x4.sub(t0, t3), t11 = i32x4.add(t1, t2), t12 = i32x4.sub(t1, t2);
  let z3 = pair(z, c1175 - c1961, c1175), z4 = pair(z, c1175, c1175 - c0390);
  let o0 = i32x4.add(pair(a, c0298 - c0899, -c0899), z3), o3 = i32x4.add(pair(a, -c0899, c1501 - c0899), z4);
  let o1 = i32x4.add(pair(b, c2053 - c2562, -c2562), z4), o2 = i32x4.add(pair(b, -c2562, c3072 - c2562), z3);
  const p0 = i32x4.shr_s(i32x4.add(t10, o3), shift), p7 = i32x4.shr_s(i32x4.sub(t10, o3), shift);
  const p1 = i32x4.shr_s(i32x4.add(t11, o2), shift), p6 = i32x4.shr_s(i32x4.sub(t11, o2), shift);
  const p2 = i32x4.shr_s(i32x4.add(t12, o1), shift), p5 = i32x4.shr_s(i32x4.sub(t12, o1), shift);
  const p3 = i32x4.shr_s(i32x4.add(t13, o0), shift), p4 = i32x4.shr_s(i32x4.sub(t13, o0), shift);
  even = high(v2, v6); ends = high(sum04, less04); a = high(v7, v1); b = high(v5, v3); z = high(sum73, sum51);
  t2 = pair(even, c0541, c0541 - c1847); t3 = pair(even, c0541 + c0765, c0541);
  t0 = i32x4.add(pair(ends, 8192, 0), rounding); t1 = i32x4.add(pair(ends, 0, 8192), rounding);
  t10 = i32x4.add(t0, t3); t13 = i32x4.sub(t0, t3); t11 = i32x4.add(t1, t2); t12 = i32x4.sub(t1, t2);
  z3 = pair(z, c1175 - c1961, c1175); z4 = pair(z, c1175, c1175 - c0390);
  o0 = i32x4.add(pair(a, c0298 - c0899, -c0899), z3); o3 = i32x4.add(pair(a, -c0899, c1501 - c0899), z4);
  o1 = i32x4.add(pair(b, c2053 - c2562, -c2562), z4); o2 = i32x4.add(pair(b, -c2562, c3072 - c2562), z3);
  r0 = i16x8.narrow_i32x4_s(p0, i32x4.shr_s(i32x4.add(t10, o3), shift));
  r7 = i16x8.narrow_i32x4_s(p7, i32x4.shr_s(i32x4.sub(t10, o3), shift));
  r1 = i16x8.narrow_i32x4_s(p1, i32x4.shr_s(i32x4.add(t11, o2), shift));
  r6 = i16x8.narrow_i32x4_s(p6, i32x4.shr_s(i32x4.sub(t11, o2), shift));
  r2 = i16x8.narrow_i32x4_s(p2, i32x4.shr_s(i32x4.add(t12, o1), shift));
  r5 = i16x8.narrow_i32x4_s(p5, i32x4.shr_s(i32x4.sub(t12, o1), shift));
  r3 = i16x8.narrow_i32x4_s(p3, i32x4.shr_s(i32x4.add(t13, o0), shift));
  r4 = i16x8.narrow_i32x4_s(p4, i32x4.shr_s(i32x4.sub(t13, o0), shift));
}

/** Rows to columns of r0 to r7. */
// @ts-ignore: decorator
@inline
function transpose(): void {
  const a0 = low(r0, r1), a1 = high(r0, r1), a2 = low(r2, r3), a3 = high(r2, r3);
  const a4 = low(r4, r5), a5 = high(r4, r5), a6 = low(r6, r7), a7 = high(r6, r7);
  const b0 = i32x4.shuffle(a0, a2, 0, 4, 1, 5), b1 = i32x4.shuffle(a0, a2, 2, 6, 3, 7);
  const b2 = i32x4.shuffle(a1, a3, 0, 4, 1, 5), b3 = i32x4.shuffle(a1, a3, 2, 6, 3, 7);
  const b4 = i32x4.shuffle(a4, a6, 0, 4, 1, 5), b5 = i32x4.shuffle(a4, a6, 2, 6, 3, 7);
  const b6 = i32x4.shuffle(a5, a7, 0, 4, 1, 5), b7 = i32x4.shuffle(a5, a7, 2, 6, 3, 7);
  r0 = i64x2.shuffle(b0, b4, 0, 2); r1 = i64x2.shuffle(b0, b4, 1, 3);
  r2 = i64x2.shuffle(b1, b5, 0, 2); r3 = i64x2.shuffle(b1, b5, 1, 3);
  r4 = i64x2.shuffle(b2, b6, 0, 2); r5 = i64x2.shuffle(b2, b6, 1, 3);
  r6 = i64x2.shuffle(b3, b7, 0, 2); r7 = i64x2.shuffle(b3, b7, 1, 3);
}

/** Grey samples to RGB. Writes up to 48 bytes past the end. */
export function convertGrey(luma: usize, line: i32, width: i32, height: i32, target: usize): void {
  for (let y = 0; y < height; y++, luma += line, target += width * 3) {
    let to = target;
    for (let x = 0; x < width; x += 16, to += 48) {
      const grey = v128.load(luma + x);
      v128.store(to, i8x16.swizzle(grey, i8x16(0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 5)));
      v128.store(to, i8x16.swizzle(grey, i8x16(5, 5, 6, 6, 6, 7, 7, 7, 8, 8, 8, 9, 9, 9, 10, 10)), 16);
      v128.store(to, i8x16.swizzle(grey, i8x16(10, 11, 11, 11, 12, 12, 12, 13, 13, 13, 14, 14, 14, 15, 15, 15)), 32);
    }
  }
}

/**
 * Luma and chroma to RGB; chroma has `chromaWidth` x `chromaHeight` samples, halved along x (`halfX`) and y (`halfY`, only with `halfX`) or
 * not. `rows` holds 4 (chromaWidth + 32) bytes. Reads and writes up to 48 bytes past the end.
 */
export function convertColour(
  luma: usize, line: i32, blue: usize, red: usize, chromaLine: i32, chromaWidth: i32, chromaHeight: i32, halfX: bool, halfY: bool,
  width: i32, height: i32, rows: usize, target: usize,
): void {
  const blueSums = rows + 16, redSums = blueSums + (<usize>chromaWidth * 2 + 32 & ~15) + 16;
  const middle = i16x8.splat(128);
  for (let y = 0; y < height; y++, luma += line, target += width * 3) {
    let to = target;
    if (!halfX) {
      const offset = <usize>y * chromaLine;
      for (let x = 0; x < width; x += 16, to += 48) {
        const b = v128.load(blue + offset + x), r = v128.load(red + offset + x);
        pixels(v128.load(luma + x),
          i16x8.sub(i16x8.extend_low_i8x16_u(b), middle), i16x8.sub(i16x8.extend_high_i8x16_u(b), middle),
          i16x8.sub(i16x8.extend_low_i8x16_u(r), middle), i16x8.sub(i16x8.extend_high_i8x16_u(r), middle), to);
      }
      continue;
    }
    // Weights 3 : 1 of the nearer and the farther sample, along y, then along x; the rounding alternates so that it has no bias.
    const near = halfY ? y >> 1 : y;
    const far = halfY ? min<i32>(chromaHeight - 1, max<i32>(0, near + ((y & 1) << 1) - 1)) : near;
    sums(blue + <usize>near * chromaLine, blue + <usize>far * chromaLine, chromaWidth, halfY, blueSums);
    sums(red + <usize>near * chromaLine, red + <usize>far * chromaLine, chromaWidth, halfY, redSums);
    const shift = halfY ? 4 : 2;
    const leftRounding = i16x8.splat(halfY ? 8 : 1), rightRounding = i16x8.splat(halfY ? 7 : 2);
    for (let x: usize = 0; x < <usize>width; x += 16, to += 48) {
      let left = upsampled(blueSums + x, -1, leftRounding, shift), right = upsampled(blueSums + x, 1, rightRounding, shift);
      const b0 = i16x8.sub(low(left, right), middle), b1 = i16x8.sub(high(left, right), middle);
      left = upsampled(redSums + x, -1, leftRounding, shift); right = upsampled(redSums + x, 1, rightRounding, shift);
      pixels(v128.load(luma + x), b0, b1, i16x8.sub(low(left, right), middle), i16x8.sub(high(left, right), middle), to);
    }
  }
}

/** 3 near + far (or near alone) as 16-bit numbers, with the first and the last repeated outwards. */
// @ts-ignore: decorator
@inline
function sums(near: usize, far: usize, count: i32, two: bool, target: usize): void {
  const three = i16x8.splat(3);
  for (let x = 0; x < count; x += 8) {
    const n = i16x8.extend_low_i8x16_u(v128.load64_zero(near + x));
    v128.store(target + (<usize>x << 1), two ? i16x8.add(i16x8.mul(n, three), i16x8.extend_low_i8x16_u(v128.load64_zero(far + x))) : n);
  }
  store<i16>(target - 2, load<i16>(target));
  store<i16>(target + (<usize>count << 1), load<i16>(target + (<usize>(count - 1) << 1)));
}

/** (3 t[i] + t[i + side] + rounding) >> shift for eight i. */
// @ts-ignore: decorator
@inline
function upsampled(at: usize, side: i32, rounding: v128, shift: i32): v128 {
  const sum = i16x8.add(i16x8.mul(v128.load(at), i16x8.splat(3)), i16x8.add(v128.load(at + 2 * side), rounding));
  return i16x8.shr_s(sum, shift);
}

/**
 * 16 pixels. r = y + 1.402 cr, g = y - 0.34414 cb - 0.71414 cr, b = y + 1.772 cb; each product is rounded to 16 bits after the point,
 * each sum of them to whole numbers, halves up. Whole parts of factors are added, so that what is multiplied has 16 bits.
 */
// @ts-ignore: decorator
@inline
function pixels(luma: v128, b0: v128, b1: v128, r0: v128, r1: v128, to: usize): void {
  const y0 = i16x8.extend_low_i8x16_u(luma), y1 = i16x8.extend_high_i8x16_u(luma);
  const red = i8x16.narrow_i16x8_u(i16x8.add(y0, redPart(r0)), i16x8.add(y1, redPart(r1)));
  const green = i8x16.narrow_i16x8_u(i16x8.add(y0, greenPart(b0, r0)), i16x8.add(y1, greenPart(b1, r1)));
  const blue = i8x16.narrow_i16x8_u(i16x8.add(y0, bluePart(b0)), i16x8.add(y1, bluePart(b1)));
  const rg0 = i8x16.shuffle(red, green, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const rg1 = i8x16.shuffle(red, green, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  v128.store(to, i8x16.shuffle(rg0, blue, 0, 1, 16, 2, 3, 17, 4, 5, 18, 6, 7, 19, 8, 9, 20, 10));
  const ends = i8x16.shuffle(rg0, rg1, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 16, 16, 16, 16, 16);
  v128.store(to, i8x16.shuffle(ends, blue, 0, 21, 1, 2, 22, 3, 4, 23, 5, 6, 24, 7, 8, 25, 9, 10), 16);
  v128.store(to, i8x16.shuffle(rg1, blue, 26, 6, 7, 27, 8, 9, 28, 10, 11, 29, 12, 13, 30, 14, 15, 31), 32);
}

/** 1.402 x; the multiplication by 13173 / 2^15, rounded, is equal to (91881 x + 2^15) >> 16, less x, for every x in [-128, 127]. */
// @ts-ignore: decorator
@inline
function redPart(x: v128): v128 {
  return i16x8.add(x, i16x8.q15mulr_sat_s(x, i16x8.splat(13173)));
}

/** 1.772 x, likewise equal to (116130 x + 2^15) >> 16. */
// @ts-ignore: decorator
@inline
function bluePart(x: v128): v128 {
  return i16x8.add(i16x8.add(x, x), i16x8.q15mulr_sat_s(x, i16x8.splat(-7471)));
}

/** (-22554 b - 46802 r + 2^15) >> 16. */
// @ts-ignore: decorator
@inline
function greenPart(b: v128, r: v128): v128 {
  const rounding = i32x4.splat(1 << 15);
  const first = i32x4.shr_s(i32x4.add(pair(low(b, r), -22554, 65536 - 46802), rounding), 16);
  const second = i32x4.shr_s(i32x4.add(pair(high(b, r), -22554, 65536 - 46802), rounding), 16);
  return i16x8.sub(i16x8.narrow_i32x4_s(first, second), r);
}
