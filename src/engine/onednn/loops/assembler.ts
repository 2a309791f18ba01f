/** WebAssembly as its bytes, under the names of the specification. */

export type Code = readonly number[];

/** Unsigned LEB128. */
export function unsigned(value: number): Code {
  const bytes: number[] = [];
  do {
    bytes.push((value & 127) | (value > 127 ? 128 : 0));
    value >>>= 7;
  } while (value > 0);
  return bytes;
}

/** Signed LEB128. */
function signed(value: number): Code {
  const bytes: number[] = [];
  for (;;) {
    const byte = value & 127;
    value >>= 7;
    if ((value === 0 && !(byte & 64)) || (value === -1 && byte & 64)) return [...bytes, byte];
    bytes.push(byte | 128);
  }
}

const float = (value: number): Code => [...new Uint8Array(Float32Array.of(value).buffer)];
/** Of a load or a store: the alignment as a power of two, and no offset. */
const aligned = (power: number): Code => [power, 0];

const control = { block: 0x02, loop: 0x03, branch: 0x0c, branchIf: 0x0d, end: 0x0b } as const;
const noResult = 0x40;

export const local = {
  get: (index: number): Code => [0x20, ...unsigned(index)],
  set: (index: number): Code => [0x21, ...unsigned(index)],
  tee: (index: number): Code => [0x22, ...unsigned(index)],
};

/** `condition ? first : second` of the three values before it: first, second, condition. */
export const select: Code = [0x1b];

export const i32 = {
  const: (value: number): Code => [0x41, ...signed(value)],
  load16Unsigned: [0x2f, ...aligned(1)],
  store16: [0x3b, ...aligned(1)],
  isZero: [0x45],
  atLeastUnsigned: [0x4f],
  add: [0x6a],
  sub: [0x6b],
  and: [0x71],
  or: [0x72],
  shiftLeft: [0x74],
  shiftRight: [0x75],
  shiftRightUnsigned: [0x76],
  ofBits: [0xbc],
} as const;

export const f32 = {
  const: (value: number): Code => [0x43, ...float(value)],
  load: [0x2a, ...aligned(2)],
  store: [0x38, ...aligned(2)],
  less: [0x5d],
  greater: [0x5e],
  abs: [0x8b],
  neg: [0x8c],
  nearest: [0x90],
  sqrt: [0x91],
  add: [0x92],
  sub: [0x93],
  mul: [0x94],
  div: [0x95],
  min: [0x96],
  max: [0x97],
  ofSigned: [0xb2],
  ofBits: [0xbe],
} as const;

const vector = (opcode: number, ...immediates: readonly number[]): Code => [0xfd, ...unsigned(opcode), ...immediates];

export const v128 = {
  load: vector(0x00, ...aligned(2)),
  /** Four 16-bit integers, with zeros in the upper halves. */
  load16x4Unsigned: vector(0x04, ...aligned(1)),
  store: vector(0x0b, ...aligned(2)),
  /** The lower half of the vector. */
  store64: vector(0x5b, ...aligned(1), 0),
  and: vector(0x4e),
  or: vector(0x50),
  /** Bits of the first where the third has ones, else of the second. */
  select: vector(0x52),
} as const;

export const i32x4 = {
  splat: vector(0x11),
  shiftLeft: vector(0xab),
  shiftRight: vector(0xac),
  shiftRightUnsigned: vector(0xad),
  add: vector(0xae),
  /** Two vectors as one of 16-bit integers. */
  narrowUnsigned: vector(0x86),
} as const;

export const f32x4 = {
  splat: vector(0x13),
  less: vector(0x43),
  greater: vector(0x44),
  nearest: vector(0x6a),
  abs: vector(0xe0),
  neg: vector(0xe1),
  sqrt: vector(0xe3),
  add: vector(0xe4),
  sub: vector(0xe5),
  mul: vector(0xe6),
  div: vector(0xe7),
  min: vector(0xe8),
  max: vector(0xe9),
  /** b < a ? b : a, and a < b ? b : a. */
  least: vector(0xea),
  most: vector(0xeb),
  ofSigned: vector(0xfa),
} as const;

/** Repeats `body` until `isDone` leaves something other than 0. */
export const until = (isDone: Code, body: Code): Code => [
  ...[control.block, noResult],
  ...[control.loop, noResult],
  ...[...isDone, control.branchIf, 1],
  ...[...body, control.branch, 0],
  ...[control.end, control.end],
];

/** Adds to a local integer. */
export const increase = (index: number, by: Code): Code => [
  ...local.get(index),
  ...by,
  ...i32.add,
  ...local.set(index),
];

const types = { i32: 0x7f, f32: 0x7d, v128: 0x7b } as const;
export type ValueType = keyof typeof types;

/** Further locals of a function: so many of a type, in order. */
export type Locals = readonly (readonly [count: number, type: ValueType])[];

const list = (items: readonly Code[]): Code => [...unsigned(items.length), ...items.flat()];
const sections = { types: 1, imports: 2, functions: 3, exports: 7, code: 10 } as const;
const section = (name: keyof typeof sections, items: readonly Code[]): Code => {
  const content = list(items);
  return [sections[name], ...unsigned(content.length), ...content];
};
const text = (value: string): Code => list([...value].map((letter) => [letter.charCodeAt(0)]));

/** A module of one function, exported as `run`, on the shared memory that it is given as `heap.memory`. */
export function moduleOf(parameters: readonly ValueType[], locals: Locals, body: Code): Uint8Array<ArrayBuffer> {
  const signature = [0x60, ...list(parameters.map((type) => [types[type]])), ...list([])];
  const code = [...list(locals.map(([count, type]) => [...unsigned(count), types[type]])), ...body, control.end];
  const functionKind = 0x00,
    shared = 0x03,
    memoryKind = 0x02,
    limits = [shared, 0, ...unsigned(65536)];
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d], // "\0asm"
    ...[1, 0, 0, 0],
    ...section('types', [signature]),
    ...section('imports', [[...text('heap'), ...text('memory'), memoryKind, ...limits]]),
    ...section('functions', [[0]]),
    ...section('exports', [[...text('run'), functionKind, 0]]),
    ...section('code', [[...unsigned(code.length), ...code]]),
  ]);
}
