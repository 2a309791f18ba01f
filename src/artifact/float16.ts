const floats = new Float32Array(1);
const bits = new Uint32Array(floats.buffer);

/**
 * IEEE 754 binary16 bits of float32 values, rounded to nearest even; what is too large becomes
 * infinity.
 */
export function toFloat16(values: Float32Array): Uint16Array {
  return Uint16Array.from(values, (value) => {
    floats[0] = value;
    const x = bits[0]!;
    const sign = (x >>> 16) & 0x8000;
    const magnitude = x & 0x7fffffff;
    if (magnitude > 0x7f800000) return sign | 0x7e00; // NaN
    if (magnitude >= 0x477ff000) return sign | 0x7c00; // rounds past 65504
    if (magnitude < 0x38800000) {
      // Subnormal in half precision: a multiple of 2^-24, rounded to even by the float addition's
      // own rounding.
      floats[0] = Math.abs(value) + 0.5;
      return sign | (bits[0]! - 0x3f000000);
    }
    const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1);
    return sign | ((rounded - 0x38000000) >>> 13);
  });
}
