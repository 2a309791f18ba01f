import type { ChoiceCache } from './choice-cache.js';
import { packed, type ConvolutionMethod, type Dnnl, type Operation } from './dnnl.js';
import type { Heap } from './heap.js';

/** What was timed on this machine: recorded with a run, so that a resumed one computes the same bits. */
export interface Choices {
  readonly recorded: Readonly<Record<string, unknown>>;
  /** The fastest of several ways to compute something; timed once, unless an earlier run says which. */
  fastest(key: string, candidates: readonly Candidate[]): Candidate;
}

export interface Candidate {
  readonly method: ConvolutionMethod;
  readonly operation: Operation;
  /** Arguments of the operation. */
  readonly arguments: readonly number[];
}

/** Choices of an earlier run, completed by what was timed before on this machine, and by timing. */
export function createChoices(earlier: Readonly<Record<string, unknown>>, dnnl: Dnnl, heap: Heap, cache: ChoiceCache): Choices {
  const recorded: Record<string, unknown> = { ...earlier };
  const timed = (key: string, candidates: readonly Candidate[]): Candidate => {
    if (candidates.length === 1) return candidates[0]!;
    const before = candidates.find(({ method }) => method === cache.get(key));
    if (before) {
      recorded[key] = before.method;
      return before;
    }
    const times = timesOf(dnnl, heap, candidates);
    const best = candidates[times.indexOf(Math.min(...times))]!;
    recorded[key] = best.method;
    cache.set(key, best.method);
    return best;
  };
  return {
    recorded,
    fastest(key, candidates) {
      const said = recorded[key] ?? recorded['convolutions']; // the latter for all: `direct` rounds as PyTorch does
      const best = candidates.find(({ method }) => method === said) ?? timed(key, candidates);
      for (const other of candidates) if (other !== best) other.operation.release();
      return best;
    },
  };
}

/** The least of a few runs of each, in turns, milliseconds. */
function timesOf(dnnl: Dnnl, heap: Heap, candidates: readonly Candidate[]): number[] {
  const runs = candidates.map(({ operation, arguments: list }) => {
    const layouts = list.map((which) => operation.layout(which)), memories = layouts.map((layout) => dnnl.memory(layout));
    const blocks = layouts.map(({ bytes }) => heap.allocate(bytes)), primitive = operation.create();
    return { primitive, memories, blocks, list: packed(list.map((which, i) => [which, memories[i]!])), least: Infinity };
  });
  for (const { memories, blocks } of runs) { // now that the heap stays as it is
    memories.forEach((memory, i) => {
      const data = blocks[i]!.view();
      new Float32Array(data.buffer, data.byteOffset, data.length / 4).fill(0.01);
      dnnl.point(memory, data);
    });
  }
  for (let turn = 0; turn < 4; turn++) {
    for (const run of runs) {
      const from = performance.now();
      dnnl.execute(run.primitive, run.list);
      if (turn > 0) run.least = Math.min(run.least, performance.now() - from);
    }
  }
  for (const { primitive, memories, blocks } of runs) {
    dnnl.releasePrimitive(primitive);
    memories.forEach((memory) => dnnl.releaseMemory(memory));
    blocks.forEach((block) => block.release());
  }
  return runs.map(({ least }) => least);
}
