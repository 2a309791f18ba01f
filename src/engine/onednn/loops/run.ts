import type { Place } from '../memory/places.js';
import { inFloat32, toBfloat16 } from './bfloat16.js';
import type { LoopCode } from './instructions.js';
import { interpret } from './interpret.js';
import type { Sweep } from './sweep.js';
import { compileLoop } from './wasm.js';

export const isHalf = ({ layout }: Place): boolean => layout?.type === 'bf16';

/** What a loop reads and writes, and how it passes over them. */
export interface LoopRun {
  readonly code: LoopCode;
  readonly sweep: Sweep;
  readonly reads: readonly Place[];
  readonly writes: readonly Place[];
}

/**
 * The loop over its places, given the numbers that are known when it runs: generated for `memory`,
 * or in plain TypeScript while something lies outside of that.
 */
export function createRun(memory: WebAssembly.Memory, run: LoopRun): (parameters: readonly number[]) => void {
  const tensors = [...run.reads, ...run.writes],
    callGenerated = generated(memory, run);
  return (parameters) => {
    const { buffer } = memory;
    if (tensors.every((place) => place.data.buffer === buffer)) callGenerated(parameters);
    else callPlainly(run, parameters);
  };
}

function generated(
  memory: WebAssembly.Memory,
  { code, sweep, reads, writes }: LoopRun,
): (parameters: readonly number[]) => void {
  const { elements, rows, steps, results } = sweep,
    tensors = [...reads, ...writes],
    firsts = [...sweep.operands, ...writes.map(() => results)];
  const loop = compileLoop(memory, code),
    widths = tensors.map((place) => (isHalf(place) ? 2 : 4)),
    byteSteps = steps.map((step, i) => widths[i]! * step),
    pointers = new Array<number>(tensors.length);
  return (parameters) => {
    for (let i = 0; i < results.length; i++) {
      for (let k = 0; k < tensors.length; k++) pointers[k] = tensors[k]!.data.byteOffset + widths[k]! * firsts[k]![i]!;
      loop(rows, elements, pointers, byteSteps, parameters);
    }
  };
}

function callPlainly({ code, sweep, reads, writes }: LoopRun, parameters: readonly number[]): void {
  const { elements, rows, steps, results } = sweep;
  const part = ({ data }: Place, from: number): Float32Array | Uint16Array =>
    data.subarray(from, from + elements) as Float32Array | Uint16Array;
  for (let i = 0; i < results.length; i++) {
    for (let row = 0; row < rows; row++) {
      const made = writes.map(() => new Float32Array(elements));
      const given = reads.map((place, k) => inFloat32(part(place, sweep.operands[k]![i]! + row * steps[k]!)));
      interpret(code, given, made, parameters);
      writes.forEach((place, k) =>
        part(place, results[i]! + row * elements).set(isHalf(place) ? toBfloat16(made[k]!) : made[k]!),
      );
    }
  }
}
