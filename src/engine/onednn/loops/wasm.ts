/**
 * Small WebAssembly functions, written byte by byte when a graph is compiled: one loop over several
 * tensors for a group of elementwise ops, four elements at a time, with no intermediate result in
 * memory.
 */

/** What is computed for an element, in order; operands are earlier results by index. */
export type Instruction =
  | { readonly op: 'load'; readonly input: number }
  /** The same number for a whole row. */
  | { readonly op: 'one'; readonly input: number }
  | { readonly op: 'number'; readonly value: number }
  /** A number that is known when the loop runs. */
  | { readonly op: 'parameter'; readonly index: number }
  /**
   * `power`: 2^a of an integer from -126 to 127; `exponent`, `fraction`: the parts of a float32
   * above 0, from 0 to 255 and from 1 to 2.
   */
  | { readonly op: 'neg' | 'abs' | 'sqrt' | 'sign' | 'nearest' | 'power' | 'exponent' | 'fraction'; readonly a: number }
  /** `least` and `most`: b where it is beyond a, else a. */
  | {
      readonly op: 'add' | 'sub' | 'mul' | 'div' | 'min' | 'max' | 'least' | 'most';
      readonly a: number;
      readonly b: number;
    }
  /** a < b ? c : d. */
  | { readonly op: 'select'; readonly a: number; readonly b: number; readonly c: number; readonly d: number };

export interface LoopCode {
  readonly instructions: readonly Instruction[];
  /** Results that are written, by index of their instruction. */
  readonly results: readonly number[];
  /** Which inputs and results are in bfloat16 (default: none). */
  readonly halved?: { readonly inputs: boolean[]; readonly results: readonly boolean[] };
}

const integer = (value: number): number[] => {
  // unsigned LEB128
  const bytes: number[] = [];
  do {
    bytes.push((value & 127) | (value > 127 ? 128 : 0));
    value >>>= 7;
  } while (value > 0);
  return bytes;
};
const vector = (items: readonly (readonly number[])[]): number[] => [...integer(items.length), ...items.flat()];
const section = (id: number, content: readonly number[]): number[] => [id, ...integer(content.length), ...content];
const text = (value: string): number[] => [
  ...integer(value.length),
  ...[...value].map((letter) => letter.charCodeAt(0)),
];
const float = (value: number): number[] => [...new Uint8Array(Float32Array.of(value).buffer)];

const type = { i32: 0x7f, f32: 0x7d, v128: 0x7b } as const;
const get = (local: number): number[] => [0x20, ...integer(local)];
const set = (local: number): number[] => [0x21, ...integer(local)];
const constant = (value: number): number[] => [0x41, ...signed(value)];
const signed = (value: number): number[] => {
  // signed LEB128
  const bytes: number[] = [];
  for (;;) {
    const byte = value & 127;
    value >>= 7;
    if ((value === 0 && !(byte & 64)) || (value === -1 && byte & 64)) return [...bytes, byte];
    bytes.push(byte | 128);
  }
};

/** Opcodes for one element and for four. */
const narrow = {
  neg: [0x8c],
  abs: [0x8b],
  sqrt: [0x91],
  nearest: [0x90],
  add: [0x92],
  sub: [0x93],
  mul: [0x94],
  div: [0x95],
  min: [0x96],
  max: [0x97],
} as const;
const wide = {
  neg: [0xfd, 0xe1, 0x01],
  abs: [0xfd, 0xe0, 0x01],
  sqrt: [0xfd, 0xe3, 0x01],
  add: [0xfd, 0xe4, 0x01],
  sub: [0xfd, 0xe5, 0x01],
  mul: [0xfd, 0xe6, 0x01],
  div: [0xfd, 0xe7, 0x01],
  min: [0xfd, 0xe8, 0x01],
  max: [0xfd, 0xe9, 0x01],
  nearest: [0xfd, 0x6a],
  least: [0xfd, 0xea, 0x01],
  most: [0xfd, 0xeb, 0x01],
} as const;

/** bfloat16 from an address: the upper half of a float32. */
const loadHalf = (isWide: boolean): number[] =>
  isWide
    ? [0xfd, 0x04, 0x01, 0x00, ...constant(16), 0xfd, 0xab, 0x01]
    : [0x2f, 0x01, 0x00, ...constant(16), 0x74, 0xbe];

/** To an address, rounded to the nearest, halves to even: (bits + 0x7fff + bit 16) >> 16. */
function storeHalf(isWide: boolean, address: readonly number[], value: readonly number[], scratch: number): number[] {
  if (!isWide) {
    return [
      ...address,
      ...value,
      0xbc,
      ...constant(0x7fff),
      0x6a,
      ...value,
      0xbc,
      ...constant(16),
      0x76,
      ...constant(1),
      0x71,
      0x6a,
      ...constant(16),
      0x76,
      0x3b,
      0x01,
      0x00,
    ];
  }
  const splat = [0xfd, 0x11],
    add = [0xfd, 0xae, 0x01],
    shift = [...constant(16), 0xfd, 0xad, 0x01];
  return [
    ...value,
    ...constant(0x7fff),
    ...splat,
    ...add,
    ...value,
    ...shift,
    ...constant(1),
    ...splat,
    0xfd,
    0x4e,
    ...add,
    ...shift,
    ...set(scratch),
    ...address,
    ...get(scratch),
    ...get(scratch),
    0xfd,
    0x86,
    0x01,
    0xfd,
    0x5b,
    0x01,
    0x00,
    0x00,
  ];
}

/** Numbers of bfloat16 bits, or as they are. */
export const inFloat32 = (data: Float32Array | Uint16Array): Float32Array =>
  data instanceof Float32Array ? data : new Float32Array(Uint32Array.from(data, (bits) => bits << 16).buffer);

/** The bits of the nearest bfloat16, halves to even. */
export const toBfloat16 = (data: Float32Array): Uint16Array =>
  Uint16Array.from(
    new Uint32Array(data.buffer, data.byteOffset, data.length),
    (value) => (value + 0x7fff + ((value >>> 16) & 1)) >>> 16,
  );

/**
 * The module of a loop: `run(rows, wideBytes, bytes, ...inputs, ...results, ...steps,
 * ...parameters)`, addresses in bytes; a row has `bytes` bytes of every result, and an input moves
 * on by its step after each. All elements of a step are read before any is written, so a result may
 * lie where an input does.
 */
function encode(
  { instructions, results, halved }: LoopCode,
  inputs: number,
  parameters: number,
): Uint8Array<ArrayBuffer> {
  const rows = 0,
    wideBytes = 1,
    bytes = 2,
    firstPointer = 3,
    firstStep = firstPointer + inputs + results.length;
  const firstParameter = firstStep + inputs,
    index = firstParameter + parameters;
  const firstNarrow = index + 1,
    firstWide = firstNarrow + instructions.length,
    scratch = firstWide + instructions.length;
  const isHalf = (tensor: number): boolean =>
    (tensor < inputs ? halved?.inputs[tensor] : halved?.results[tensor - inputs]) ?? false;
  const setAll = (ops: readonly string[]): number[] => {
    const code: number[] = [];
    instructions.forEach((instruction, i) => {
      if (!ops.includes(instruction.op)) return;
      if (instruction.op === 'number') code.push(0x43, ...float(instruction.value));
      else if (instruction.op === 'parameter') code.push(...get(firstParameter + instruction.index));
      else if (instruction.op === 'one')
        code.push(
          ...get(firstPointer + instruction.input),
          ...(isHalf(instruction.input) ? loadHalf(false) : [0x2a, 0x02, 0x00]),
        );
      code.push(0x22, ...integer(firstNarrow + i), 0xfd, 0x13, ...set(firstWide + i));
    });
    return code;
  };
  const body = (isWide: boolean): number[] => {
    const local = (i: number): number => (isWide ? firstWide : firstNarrow) + i;
    const code: number[] = [],
      opcodes = isWide ? wide : narrow;
    const address = (pointer: number): number[] => [
      ...get(firstPointer + pointer),
      ...get(index),
      ...(isHalf(pointer) ? [...constant(1), 0x76] : []),
      0x6a,
    ];
    const splat = isWide ? [0xfd, 0x13] : [],
      splatInteger = isWide ? [0xfd, 0x11] : [];
    const and = isWide ? [0xfd, 0x4e] : [0x71],
      or = isWide ? [0xfd, 0x50] : [0x72];
    instructions.forEach((instruction, i) => {
      const operand = (which: 'a' | 'b' | 'c' | 'd'): number[] =>
        get(local((instruction as { [key in typeof which]: number })[which]));
      switch (instruction.op) {
        case 'number':
        case 'parameter':
        case 'one':
          return; // set before
        case 'load':
          code.push(
            ...address(instruction.input),
            ...(isHalf(instruction.input) ? loadHalf(isWide) : isWide ? [0xfd, 0x00, 0x02, 0x00] : [0x2a, 0x02, 0x00]),
          );
          break;
        case 'sign': {
          // (x > 0) - (x < 0)
          const x = operand('a'),
            zero = [0x43, ...float(0), ...splat],
            one = [0x43, ...float(1), ...splat];
          if (isWide)
            code.push(
              ...x,
              ...zero,
              0xfd,
              0x44,
              ...one,
              0xfd,
              0x4e,
              ...x,
              ...zero,
              0xfd,
              0x43,
              ...one,
              0xfd,
              0x4e,
              ...wide.sub,
            );
          else code.push(...x, ...zero, 0x5e, ...x, ...zero, 0x5d, 0x6b, 0xb2);
          break;
        }
        case 'select':
          code.push(
            ...operand('c'),
            ...operand('d'),
            ...operand('a'),
            ...operand('b'),
            ...(isWide ? [0xfd, 0x43, 0xfd, 0x52] : [0x5d, 0x1b]),
          );
          break;
        case 'power': // the last bits of a + 127 + 1.5 * 2^23 are those of a + 127
          code.push(...operand('a'), 0x43, ...float(12582912 + 127), ...splat, ...opcodes.add);
          if (isWide) code.push(...constant(23), 0xfd, 0xab, 0x01);
          else code.push(0xbc, ...constant(23), 0x74, 0xbe);
          break;
        case 'exponent':
          code.push(...operand('a'));
          if (isWide) code.push(...constant(23), 0xfd, 0xac, 0x01, 0xfd, 0xfa, 0x01);
          else code.push(0xbc, ...constant(23), 0x75, 0xb2);
          break;
        case 'fraction':
          code.push(...operand('a'), ...(isWide ? [] : [0xbc]), ...constant(0x7fffff), ...splatInteger, ...and);
          code.push(...constant(0x3f800000), ...splatInteger, ...or, ...(isWide ? [] : [0xbe]));
          break;
        case 'least':
        case 'most':
          if (isWide) code.push(...operand('a'), ...operand('b'), ...wide[instruction.op]);
          else {
            const [first, second] = instruction.op === 'least' ? (['b', 'a'] as const) : (['a', 'b'] as const);
            code.push(...operand('b'), ...operand('a'), ...operand(first), ...operand(second), 0x5d, 0x1b);
          }
          break;
        case 'neg':
        case 'abs':
        case 'sqrt':
        case 'nearest':
          code.push(...operand('a'), ...opcodes[instruction.op]);
          break;
        case 'add':
        case 'sub':
        case 'mul':
        case 'div':
        case 'min':
        case 'max':
          code.push(...operand('a'), ...operand('b'), ...opcodes[instruction.op]);
      }
      code.push(...set(local(i)));
    });
    results.forEach((result, i) => {
      if (isHalf(inputs + i)) code.push(...storeHalf(isWide, address(inputs + i), get(local(result)), scratch));
      else
        code.push(
          ...address(inputs + i),
          ...get(local(result)),
          ...(isWide ? [0xfd, 0x0b, 0x02, 0x00] : [0x38, 0x02, 0x00]),
        );
    });
    return code;
  };
  const loop = (end: number, step: number, code: readonly number[]): number[] => [
    0x02,
    0x40,
    0x03,
    0x40,
    ...get(index),
    ...get(end),
    0x4f,
    0x0d,
    0x01, // leave when index >= end
    ...code,
    ...get(index),
    ...constant(step),
    0x6a,
    ...set(index),
    0x0c,
    0x00,
    0x0b,
    0x0b,
  ];
  const moveOn = (pointer: number, by: number): number[] => [
    ...get(firstPointer + pointer),
    ...get(by),
    0x6a,
    ...set(firstPointer + pointer),
  ];
  const row = [
    ...setAll(['one']),
    ...constant(0),
    ...set(index),
    ...loop(wideBytes, 16, body(true)),
    ...loop(bytes, 4, body(false)),
    ...Array.from({ length: inputs }, (_, i) => moveOn(i, firstStep + i)).flat(),
    ...results.flatMap((_, i) => [
      ...get(firstPointer + inputs + i),
      ...get(bytes),
      ...(isHalf(inputs + i) ? [...constant(1), 0x76] : []),
      0x6a,
      ...set(firstPointer + inputs + i),
    ]),
  ];
  const allRows = [
    0x02,
    0x40,
    0x03,
    0x40,
    ...get(rows),
    0x45,
    0x0d,
    0x01, // leave when no row is left
    ...row,
    ...get(rows),
    ...constant(1),
    0x6b,
    ...set(rows),
    0x0c,
    0x00,
    0x0b,
    0x0b,
  ];
  const locals = vector([
    [1, type.i32],
    [...integer(instructions.length), type.f32],
    [...integer(instructions.length + 1), type.v128],
  ]);
  const code = [...locals, ...setAll(['number', 'parameter']), ...allRows, 0x0b];
  const signature = [
    0x60,
    ...vector([
      ...new Array<number[]>(firstParameter).fill([type.i32]),
      ...new Array<number[]>(parameters).fill([type.f32]),
    ]),
    0x00,
  ];
  return Uint8Array.from([
    0x00,
    0x61,
    0x73,
    0x6d,
    1,
    0,
    0,
    0,
    ...section(1, vector([signature])),
    ...section(2, vector([[...text('heap'), ...text('memory'), 0x02, 0x00, 0x00]])),
    ...section(3, vector([[0]])),
    ...section(7, vector([[...text('run'), 0x00, 0x00]])),
    ...section(10, vector([[...integer(code.length), ...code]])),
  ]);
}

/**
 * `elements` of a row; `pointers` are those of the inputs and the results, `steps` those of the
 * inputs from row to row, in bytes.
 */
export type Loop = (
  rows: number,
  elements: number,
  pointers: readonly number[],
  steps: readonly number[],
  parameters: readonly number[],
) => void;

const loops = new WeakMap<WebAssembly.Memory, Map<string, Loop>>();

/** The function of a loop over tensors in `memory`; the same code is generated once. */
export function compileLoop(memory: WebAssembly.Memory, code: LoopCode): Loop {
  let known = loops.get(memory);
  if (!known) loops.set(memory, (known = new Map()));
  const key = JSON.stringify(code, (_, value: unknown) =>
    typeof value === 'number' && !Number.isFinite(value) ? String(value) : value,
  );
  let loop = known.get(key);
  if (!loop) {
    let inputs = 0,
      parameters = 0;
    for (const instruction of code.instructions) {
      if (instruction.op === 'load' || instruction.op === 'one') inputs = Math.max(inputs, 1 + instruction.input);
      if (instruction.op === 'parameter') parameters = Math.max(parameters, 1 + instruction.index);
    }
    const module = new WebAssembly.Module(encode(code, inputs, parameters));
    const { run } = new WebAssembly.Instance(module, { heap: { memory } }).exports as {
      run: (...values: number[]) => void;
    };
    loop = (rows, elements, pointers, steps, given) =>
      run(rows, 4 * (elements - (elements % 4)), 4 * elements, ...pointers, ...steps, ...given);
    known.set(key, loop);
  }
  return loop;
}

const parts = new Float32Array(1),
  bits = new Int32Array(parts.buffer);

/** The same computation of one row in plain TypeScript, for tensors outside the heap. */
export function interpret(
  { instructions, results }: LoopCode,
  inputs: readonly Float32Array[],
  outputs: readonly Float32Array[],
  parameters: readonly number[],
): void {
  const values = new Float32Array(instructions.length);
  const valueOf = (instruction: Instruction, at: number): number => {
    if (instruction.op === 'load') return inputs[instruction.input]![at]!;
    if (instruction.op === 'one') return inputs[instruction.input]![0]!;
    if (instruction.op === 'number') return instruction.value;
    if (instruction.op === 'parameter') return parameters[instruction.index]!;
    const a = values[instruction.a]!,
      b = 'b' in instruction ? values[instruction.b]! : 0;
    switch (instruction.op) {
      case 'neg':
        return -a;
      case 'abs':
        return Math.abs(a);
      case 'sqrt':
        return Math.sqrt(a);
      case 'sign':
        return a > 0 ? 1 : a < 0 ? -1 : 0;
      case 'nearest': {
        const floor = Math.floor(a),
          rest = a - floor;
        return rest < 0.5 || (rest === 0.5 && floor % 2 === 0) ? floor : floor + 1;
      }
      case 'power':
        return 2 ** a;
      case 'exponent':
        parts[0] = a;
        return bits[0]! >> 23;
      case 'fraction':
        parts[0] = a;
        bits[0] = (bits[0]! & 0x7fffff) | 0x3f800000;
        return parts[0];
      case 'add':
        return a + b;
      case 'sub':
        return a - b;
      case 'mul':
        return a * b;
      case 'div':
        return a / b;
      case 'min':
        return Math.min(a, b);
      case 'max':
        return Math.max(a, b);
      case 'least':
        return b < a ? b : a;
      case 'most':
        return a < b ? b : a;
      case 'select':
        return a < b ? values[instruction.c]! : values[instruction.d]!;
    }
  };
  for (let at = 0; at < outputs[0]!.length; at++) {
    instructions.forEach((instruction, i) => (values[i] = valueOf(instruction, at)));
    results.forEach((result, i) => (outputs[i]![at] = values[result]!));
  }
}
