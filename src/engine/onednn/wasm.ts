/**
 * Small WebAssembly functions, written byte by byte when a graph is compiled: one loop over several tensors for a group of elementwise
 * ops, four elements at a time, with no intermediate result in memory.
 */

/** What is computed for an element, in order; operands are earlier results by index. */
export type Instruction =
  | { readonly op: 'load'; readonly input: number }
  | { readonly op: 'number'; readonly value: number }
  /** A number that is known when the loop runs. */
  | { readonly op: 'parameter'; readonly index: number }
  | { readonly op: 'neg' | 'abs' | 'sqrt' | 'sign'; readonly a: number }
  | { readonly op: 'add' | 'sub' | 'mul' | 'div' | 'min' | 'max'; readonly a: number; readonly b: number };

export interface LoopCode {
  readonly instructions: readonly Instruction[];
  /** Results that are written, by index of their instruction. */
  readonly results: readonly number[];
}

const integer = (value: number): number[] => { // unsigned LEB128
  const bytes: number[] = [];
  do {
    bytes.push((value & 127) | (value > 127 ? 128 : 0));
    value >>>= 7;
  } while (value > 0);
  return bytes;
};
const vector = (items: readonly (readonly number[])[]): number[] => [...integer(items.length), ...items.flat()];
const section = (id: number, content: readonly number[]): number[] => [id, ...integer(content.length), ...content];
const text = (value: string): number[] => [...integer(value.length), ...[...value].map((letter) => letter.charCodeAt(0))];
const float = (value: number): number[] => [...new Uint8Array(Float32Array.of(value).buffer)];

const type = { i32: 0x7f, f32: 0x7d, v128: 0x7b } as const;
const get = (local: number): number[] => [0x20, ...integer(local)];
const set = (local: number): number[] => [0x21, ...integer(local)];
const constant = (value: number): number[] => [0x41, ...signed(value)];
const signed = (value: number): number[] => { // signed LEB128
  const bytes: number[] = [];
  for (;;) {
    const byte = value & 127;
    value >>= 7;
    if ((value === 0 && !(byte & 64)) || (value === -1 && byte & 64)) return [...bytes, byte];
    bytes.push(byte | 128);
  }
};

/** Opcodes for one element and for four. */
const narrow = { neg: [0x8c], abs: [0x8b], sqrt: [0x91], add: [0x92], sub: [0x93], mul: [0x94], div: [0x95], min: [0x96], max: [0x97] } as const;
const wide = {
  neg: [0xfd, 0xe1, 0x01], abs: [0xfd, 0xe0, 0x01], sqrt: [0xfd, 0xe3, 0x01], add: [0xfd, 0xe4, 0x01], sub: [0xfd, 0xe5, 0x01],
  mul: [0xfd, 0xe6, 0x01], div: [0xfd, 0xe7, 0x01], min: [0xfd, 0xe8, 0x01], max: [0xfd, 0xe9, 0x01],
} as const;

/**
 * The module of a loop: `run(wideBytes, bytes, ...inputs, ...results, ...parameters)`, addresses in bytes. All elements of a step are
 * read before any is written, so a result may lie where an input does.
 */
function encode({ instructions, results }: LoopCode, inputs: number, parameters: number): Uint8Array<ArrayBuffer> {
  const firstPointer = 2, firstParameter = firstPointer + inputs + results.length, index = firstParameter + parameters;
  const firstNarrow = index + 1, firstWide = firstNarrow + instructions.length;
  const body = (isWide: boolean): number[] => {
    const local = (i: number): number => (isWide ? firstWide : firstNarrow) + i;
    const code: number[] = [], opcodes = isWide ? wide : narrow;
    const address = (pointer: number): number[] => [...get(firstPointer + pointer), ...get(index), 0x6a];
    const splat = isWide ? [0xfd, 0x13] : [];
    instructions.forEach((instruction, i) => {
      switch (instruction.op) {
        case 'load':
          code.push(...address(instruction.input), ...(isWide ? [0xfd, 0x00, 0x02, 0x00] : [0x2a, 0x02, 0x00]));
          break;
        case 'number':
          code.push(0x43, ...float(instruction.value), ...splat);
          break;
        case 'parameter':
          code.push(...get(firstParameter + instruction.index), ...splat);
          break;
        case 'sign': { // (x > 0) - (x < 0)
          const x = get(local(instruction.a)), zero = [0x43, ...float(0), ...splat], one = [0x43, ...float(1), ...splat];
          if (isWide) code.push(...x, ...zero, 0xfd, 0x44, ...one, 0xfd, 0x4e, ...x, ...zero, 0xfd, 0x43, ...one, 0xfd, 0x4e, ...wide.sub);
          else code.push(...x, ...zero, 0x5e, ...x, ...zero, 0x5d, 0x6b, 0xb2);
          break;
        }
        case 'neg': case 'abs': case 'sqrt':
          code.push(...get(local(instruction.a)), ...opcodes[instruction.op]);
          break;
        default:
          code.push(...get(local(instruction.a)), ...get(local(instruction.b)), ...opcodes[instruction.op]);
      }
      code.push(...set(local(i)));
    });
    results.forEach((result, i) => {
      code.push(...address(inputs + i), ...get(local(result)), ...(isWide ? [0xfd, 0x0b, 0x02, 0x00] : [0x38, 0x02, 0x00]));
    });
    return code;
  };
  const loop = (end: number, step: number, code: readonly number[]): number[] => [
    0x02, 0x40, 0x03, 0x40, ...get(index), ...get(end), 0x4f, 0x0d, 0x01, // leave when index >= end
    ...code, ...get(index), ...constant(step), 0x6a, ...set(index), 0x0c, 0x00, 0x0b, 0x0b,
  ];
  const locals = vector([[1, type.i32], [...integer(instructions.length), type.f32], [...integer(instructions.length), type.v128]]);
  const code = [...locals, ...loop(0, 16, body(true)), ...loop(1, 4, body(false)), 0x0b];
  const signature = [
    0x60, ...vector([...new Array<number[]>(firstParameter).fill([type.i32]), ...new Array<number[]>(parameters).fill([type.f32])]), 0x00,
  ];
  return Uint8Array.from([
    0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
    ...section(1, vector([signature])),
    ...section(2, vector([[...text('heap'), ...text('memory'), 0x02, 0x00, 0x00]])),
    ...section(3, vector([[0]])),
    ...section(7, vector([[...text('run'), 0x00, 0x00]])),
    ...section(10, vector([[...integer(code.length), ...code]])),
  ]);
}

/** `pointers` are those of the inputs and the results, in bytes. */
export type Loop = (elements: number, pointers: readonly number[], parameters: readonly number[]) => void;

const loops = new WeakMap<WebAssembly.Memory, Map<string, Loop>>();

/** The function of a loop over tensors in `memory`; the same code is generated once. */
export function compileLoop(memory: WebAssembly.Memory, code: LoopCode): Loop {
  let known = loops.get(memory);
  if (!known) loops.set(memory, (known = new Map()));
  const key = JSON.stringify(code);
  let loop = known.get(key);
  if (!loop) {
    const count = (op: 'load' | 'parameter'): number =>
      code.instructions.reduce((most, instruction) => (instruction.op === op ? Math.max(most, 1 + ('input' in instruction ? instruction.input : instruction.index)) : most), 0);
    const module = new WebAssembly.Module(encode(code, count('load'), count('parameter')));
    const { run } = new WebAssembly.Instance(module, { heap: { memory } }).exports as { run: (...values: number[]) => void };
    loop = (elements, pointers, parameters) => run(4 * (elements - (elements % 4)), 4 * elements, ...pointers, ...parameters);
    known.set(key, loop);
  }
  return loop;
}

/** The same computation in plain TypeScript, for tensors outside the heap. */
export function interpret({ instructions, results }: LoopCode, inputs: readonly Float32Array[], outputs: readonly Float32Array[], parameters: readonly number[]): void {
  const values = new Float32Array(instructions.length);
  for (let at = 0; at < outputs[0]!.length; at++) {
    instructions.forEach((instruction, i) => {
      switch (instruction.op) {
        case 'load': values[i] = inputs[instruction.input]![at]!; break;
        case 'number': values[i] = instruction.value; break;
        case 'parameter': values[i] = parameters[instruction.index]!; break;
        case 'neg': values[i] = -values[instruction.a]!; break;
        case 'abs': values[i] = Math.abs(values[instruction.a]!); break;
        case 'sqrt': values[i] = Math.sqrt(values[instruction.a]!); break;
        case 'sign': values[i] = Math.sign(values[instruction.a]!); break;
        case 'add': values[i] = values[instruction.a]! + values[instruction.b]!; break;
        case 'sub': values[i] = values[instruction.a]! - values[instruction.b]!; break;
        case 'mul': values[i] = values[instruction.a]! * values[instruction.b]!; break;
        case 'div': values[i] = values[instruction.a]! / values[instruction.b]!; break;
        case 'min': values[i] = Math.min(values[instruction.a]!, values[instruction.b]!); break;
        case 'max': values[i] = Math.max(values[instruction.a]!, values[instruction.b]!); break;
      }
    });
    results.forEach((result, i) => (outputs[i]![at] = values[result]!));
  }
}
