import { f32, f32x4, i32, increase, local, moduleOf, until, type Code } from './assembler.js';
import type { Instruction, LoopCode } from './instructions.js';
import { four, one, type Lanes } from './lanes.js';

/**
 * Small WebAssembly functions, written byte by byte when a graph is compiled: one loop over several
 * tensors for a group of elementwise ops, four elements at a time, with no intermediate result in
 * memory.
 */

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
    const module = new WebAssembly.Module(encode(code));
    const { run } = new WebAssembly.Instance(module, { heap: { memory } }).exports as {
      run: (...values: number[]) => void;
    };
    loop = (rows, elements, pointers, steps, parameters) =>
      run(rows, 4 * (elements - (elements % 4)), 4 * elements, ...pointers, ...steps, ...parameters);
    known.set(key, loop);
  }
  return loop;
}

/** The function's parameters and locals by number, in the order in which they are declared. */
interface Frame {
  readonly inputs: number;
  readonly parameters: number;
  /** Rows that are left; bytes of a row in float32, those that four lanes do, and all. */
  readonly rows: number;
  readonly wideBytes: number;
  readonly bytes: number;
  pointer(tensor: number): number;
  step(input: number): number;
  parameter(index: number): number;
  /** Bytes of the row that are done. */
  readonly index: number;
  /** The result of an instruction, for one element and for four. */
  narrow(instruction: number): number;
  wide(instruction: number): number;
  readonly scratch: number;
  isHalf(tensor: number): boolean;
}

function frameOf({ instructions, results, halved }: LoopCode): Frame {
  const inputs = countOf(instructions, (item) => (item.op === 'load' || item.op === 'one' ? item.input : undefined)),
    parameters = countOf(instructions, (item) => (item.op === 'parameter' ? item.index : undefined));
  const [rows, wideBytes, bytes, firstPointer] = [0, 1, 2, 3];
  const firstStep = firstPointer + inputs + results.length,
    firstParameter = firstStep + inputs,
    index = firstParameter + parameters,
    firstNarrow = index + 1,
    firstWide = firstNarrow + instructions.length;
  return {
    inputs,
    parameters,
    rows,
    wideBytes,
    bytes,
    index,
    pointer: (tensor) => firstPointer + tensor,
    step: (input) => firstStep + input,
    parameter: (number) => firstParameter + number,
    narrow: (instruction) => firstNarrow + instruction,
    wide: (instruction) => firstWide + instruction,
    scratch: firstWide + instructions.length,
    isHalf: (tensor) => (tensor < inputs ? halved?.inputs[tensor] : halved?.results[tensor - inputs]) ?? false,
  };
}

const countOf = (items: readonly Instruction[], indexOf: (item: Instruction) => number | undefined): number =>
  1 + Math.max(-1, ...items.map((item) => indexOf(item) ?? -1));

/**
 * The module of a loop: `run(rows, wideBytes, bytes, ...inputs, ...results, ...steps,
 * ...parameters)`, addresses in bytes; a row has `bytes` bytes of every result, and an input moves
 * on by its step after each. All elements of a step are read before any is written, so a result may
 * lie where an input does.
 */
function encode(code: LoopCode): Uint8Array<ArrayBuffer> {
  const frame = frameOf(code),
    { instructions, results } = code;
  const { rows, wideBytes, bytes, index, inputs, parameters } = frame;
  const isRowDone = (end: number): Code => [...local.get(index), ...local.get(end), ...i32.atLeastUnsigned];
  const overRow = (lanes: Lanes, end: number): Code =>
    until(isRowDone(end), [...elementwise(code, frame, lanes), ...increase(index, i32.const(lanes.bytes))]);
  const row: Code = [
    ...spread(code, frame, ['one']),
    ...[...i32.const(0), ...local.set(index)],
    ...overRow(four, wideBytes),
    ...overRow(one, bytes),
    ...Array.from({ length: inputs }, (_, i) => increase(frame.pointer(i), local.get(frame.step(i)))).flat(),
    ...results.flatMap((_, i) => increase(frame.pointer(inputs + i), inTensor(frame, inputs + i, bytes))),
  ];
  const allRows = until(
    [...local.get(rows), ...i32.isZero],
    [...row, ...local.get(rows), ...i32.const(1), ...i32.sub, ...local.set(rows)],
  );
  return moduleOf(
    [...new Array<'i32'>(index - parameters).fill('i32'), ...new Array<'f32'>(parameters).fill('f32')],
    [
      [1, 'i32'],
      [instructions.length, 'f32'],
      [instructions.length + 1, 'v128'],
    ],
    [...spread(code, frame, ['number', 'parameter']), ...allRows],
  );
}

/** Bytes of a row of float32, in a tensor whose elements may be half as long. */
const inTensor = (frame: Frame, tensor: number, bytes: number): Code => [
  ...local.get(bytes),
  ...(frame.isHalf(tensor) ? [...i32.const(1), ...i32.shiftRightUnsigned] : []),
];

const addressOf = (frame: Frame, tensor: number): Code => [
  ...local.get(frame.pointer(tensor)),
  ...inTensor(frame, tensor, frame.index),
  ...i32.add,
];

/** Sets the locals of instructions that are the same for all elements. */
function spread({ instructions }: LoopCode, frame: Frame, ops: readonly Instruction['op'][]): Code {
  const valueOf = (instruction: Instruction): Code => {
    if (instruction.op === 'number') return f32.const(instruction.value);
    if (instruction.op === 'parameter') return local.get(frame.parameter(instruction.index));
    if (instruction.op === 'one')
      return one.load(local.get(frame.pointer(instruction.input)), frame.isHalf(instruction.input));
    throw new Error(`${instruction.op} is not the same for all elements`);
  };
  return instructions.flatMap((instruction, i) =>
    ops.includes(instruction.op)
      ? [...valueOf(instruction), ...local.tee(frame.narrow(i)), ...f32x4.splat, ...local.set(frame.wide(i))]
      : [],
  );
}

/** All instructions for the elements at the index, and the results written. */
function elementwise({ instructions, results }: LoopCode, frame: Frame, lanes: Lanes): Code {
  const localOf = lanes === four ? frame.wide : frame.narrow;
  const value = (instruction: number): Code => local.get(localOf(instruction));
  const compute = (item: Instruction): Code => {
    switch (item.op) {
      case 'number':
      case 'parameter':
      case 'one':
        return []; // set before
      case 'load':
        return lanes.load(addressOf(frame, item.input), frame.isHalf(item.input));
      case 'select':
        return lanes.select(value(item.a), value(item.b), value(item.c), value(item.d));
      default:
        return 'b' in item ? lanes.binary[item.op](value(item.a), value(item.b)) : lanes.unary[item.op](value(item.a));
    }
  };
  const computed = instructions.flatMap((instruction, i) => {
    const code = compute(instruction);
    return code.length === 0 ? [] : [...code, ...local.set(localOf(i))];
  });
  const written = results.flatMap((result, i) => {
    const tensor = frame.inputs + i,
      address = addressOf(frame, tensor);
    return frame.isHalf(tensor)
      ? lanes.storeHalf(address, value(result), frame.scratch)
      : lanes.store(address, value(result));
  });
  return [...computed, ...written];
}
