import { f32, f32x4, i32, i32x4, local, select, v128, type Code } from './assembler.js';
import type { BinaryOp, UnaryOp } from './instructions.js';

/**
 * How a loop computes one element, or four at once: what each of its instructions is in
 * WebAssembly. Addresses are code that leaves one.
 */
export interface Lanes {
  /** Bytes of the elements in float32. */
  readonly bytes: number;
  load(address: Code, isHalf: boolean): Code;
  store(address: Code, value: Code): Code;
  /** Rounds to bfloat16: the nearest, halves to even. `scratch` is a local of this width. */
  storeHalf(address: Code, value: Code, scratch: number): Code;
  readonly unary: Readonly<Record<UnaryOp, (a: Code) => Code>>;
  readonly binary: Readonly<Record<BinaryOp, (a: Code, b: Code) => Code>>;
  /** a < b ? c : d. */
  select(a: Code, b: Code, c: Code, d: Code): Code;
}

/** Added to n from -126 to 127, the last bits of the sum are those of the integer n + 127. */
const exponentBias = 1.5 * 2 ** 23 + 127;
const fractionBits = 23,
  fractionMask = 0x7fffff,
  bitsOfOne = 0x3f800000;
/** The bits of a bfloat16 are the upper half of a float32's; half of what is cut off, less one. */
const halfBits = 16,
  almostHalf = 0x7fff;

const after =
  (opcode: Code) =>
  (a: Code): Code => [...a, ...opcode];
const between =
  (opcode: Code) =>
  (a: Code, b: Code): Code => [...a, ...b, ...opcode];
const less = (a: Code, b: Code): Code => [...a, ...b, ...f32.less];

/** One element. */
export const one: Lanes = {
  bytes: 4,
  load: (address, isHalf) =>
    isHalf
      ? [...address, ...i32.load16Unsigned, ...i32.const(halfBits), ...i32.shiftLeft, ...f32.ofBits]
      : [...address, ...f32.load],
  store: (address, value) => [...address, ...value, ...f32.store],
  // (bits + 0x7fff + bit 16) >> 16
  storeHalf(address, value) {
    const bits = [...value, ...i32.ofBits];
    const odd = [...bits, ...i32.const(halfBits), ...i32.shiftRightUnsigned, ...i32.const(1), ...i32.and];
    const rounded = [...bits, ...i32.const(almostHalf), ...i32.add, ...odd, ...i32.add];
    return [...address, ...rounded, ...i32.const(halfBits), ...i32.shiftRightUnsigned, ...i32.store16];
  },
  unary: {
    neg: after(f32.neg),
    abs: after(f32.abs),
    sqrt: after(f32.sqrt),
    nearest: after(f32.nearest),
    // (x > 0) - (x < 0)
    sign: (x) => [...x, ...f32.const(0), ...f32.greater, ...less(x, f32.const(0)), ...i32.sub, ...f32.ofSigned],
    power: (a) => [
      ...[...a, ...f32.const(exponentBias), ...f32.add, ...i32.ofBits],
      ...[...i32.const(fractionBits), ...i32.shiftLeft, ...f32.ofBits],
    ],
    exponent: (a) => [...a, ...i32.ofBits, ...i32.const(fractionBits), ...i32.shiftRight, ...f32.ofSigned],
    fraction: (a) => [
      ...[...a, ...i32.ofBits, ...i32.const(fractionMask), ...i32.and],
      ...[...i32.const(bitsOfOne), ...i32.or, ...f32.ofBits],
    ],
  },
  binary: {
    add: between(f32.add),
    sub: between(f32.sub),
    mul: between(f32.mul),
    div: between(f32.div),
    min: between(f32.min),
    max: between(f32.max),
    least: (a, b) => [...b, ...a, ...less(b, a), ...select],
    most: (a, b) => [...b, ...a, ...less(a, b), ...select],
  },
  select: (a, b, c, d) => [...c, ...d, ...less(a, b), ...select],
};

const splat = (value: number): Code => [...f32.const(value), ...f32x4.splat];
const splatInteger = (value: number): Code => [...i32.const(value), ...i32x4.splat];

/** Four elements. */
export const four: Lanes = {
  bytes: 16,
  load: (address, isHalf) =>
    isHalf
      ? [...address, ...v128.load16x4Unsigned, ...i32.const(halfBits), ...i32x4.shiftLeft]
      : [...address, ...v128.load],
  store: (address, value) => [...address, ...value, ...v128.store],
  storeHalf(address, value, scratch) {
    const shift = [...i32.const(halfBits), ...i32x4.shiftRightUnsigned];
    const odd = [...value, ...shift, ...splatInteger(1), ...v128.and];
    const rounded = [...value, ...splatInteger(almostHalf), ...i32x4.add, ...odd, ...i32x4.add, ...shift];
    const narrowed = [...local.get(scratch), ...local.get(scratch), ...i32x4.narrowUnsigned];
    return [...rounded, ...local.set(scratch), ...address, ...narrowed, ...v128.store64];
  },
  unary: {
    neg: after(f32x4.neg),
    abs: after(f32x4.abs),
    sqrt: after(f32x4.sqrt),
    nearest: after(f32x4.nearest),
    sign: (x) => [
      ...[...x, ...splat(0), ...f32x4.greater, ...splat(1), ...v128.and],
      ...[...x, ...splat(0), ...f32x4.less, ...splat(1), ...v128.and],
      ...f32x4.sub,
    ],
    power: (a) => [
      ...[...a, ...splat(exponentBias), ...f32x4.add],
      ...[...i32.const(fractionBits), ...i32x4.shiftLeft],
    ],
    exponent: (a) => [...a, ...i32.const(fractionBits), ...i32x4.shiftRight, ...f32x4.ofSigned],
    fraction: (a) => [
      ...[...a, ...splatInteger(fractionMask), ...v128.and],
      ...[...splatInteger(bitsOfOne), ...v128.or],
    ],
  },
  binary: {
    add: between(f32x4.add),
    sub: between(f32x4.sub),
    mul: between(f32x4.mul),
    div: between(f32x4.div),
    min: between(f32x4.min),
    max: between(f32x4.max),
    least: between(f32x4.least),
    most: between(f32x4.most),
  },
  select: (a, b, c, d) => [...c, ...d, ...a, ...b, ...f32x4.less, ...v128.select],
};
