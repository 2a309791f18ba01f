/** Numbers of bfloat16 bits, or as they are. */
export const inFloat32 = (data: Float32Array | Uint16Array): Float32Array =>
  data instanceof Float32Array ? data : new Float32Array(Uint32Array.from(data, (bits) => bits << 16).buffer);

/** The bits of the nearest bfloat16, halves to even. */
export const toBfloat16 = (data: Float32Array): Uint16Array =>
  Uint16Array.from(
    new Uint32Array(data.buffer, data.byteOffset, data.length),
    (value) => (value + 0x7fff + ((value >>> 16) & 1)) >>> 16,
  );
