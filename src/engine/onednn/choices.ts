import type { ChoiceCache } from './choice-cache.js';
import { argument, packed, type ConvolutionMethod, type Dnnl, type Handle, type Layout, type Operation } from './dnnl.js';
import type { Block, Heap } from './heap.js';

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
  /** Reorders that this way needs besides. */
  readonly conversions?: readonly (readonly [from: Layout, to: Layout])[];
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
  const blocks: Block[] = [], memories: Handle[] = [], pointed: (readonly [Handle, Block, Layout])[] = [];
  const tensorOf = (layout: Layout): Handle => {
    const memory = dnnl.memory(layout), block = heap.allocate(layout.bytes);
    blocks.push(block);
    memories.push(memory);
    pointed.push([memory, block, layout]);
    return memory;
  };
  const runs = candidates.map(({ operation, arguments: list, conversions = [] }) => ({
    least: Infinity,
    calls: [
      { primitive: operation.create(), list: packed(list.map((which) => [which, tensorOf(operation.layout(which))])) },
      ...conversions.flatMap(([from, to]) => {
        const reorder = dnnl.reorder(from, to);
        if (!reorder) return [];
        const primitive = reorder.create();
        reorder.release();
        return [{ primitive, list: packed([[argument.source, tensorOf(from)], [argument.output, tensorOf(to)]]) }];
      }),
    ],
  }));
  for (const [memory, block, { type }] of pointed) { // now that the heap stays as it is
    const data = block.view();
    if (type === 'bf16') new Uint16Array(data.buffer, data.byteOffset, data.length / 2).fill(0x3c23);
    else new Float32Array(data.buffer, data.byteOffset, data.length / 4).fill(0.01);
    dnnl.point(memory, data);
  }
  for (let turn = 0; turn < 4; turn++) {
    for (const run of runs) {
      const from = performance.now();
      for (const { primitive, list } of run.calls) dnnl.execute(primitive, list);
      if (turn > 0) run.least = Math.min(run.least, performance.now() - from);
    }
  }
  for (const { calls } of runs) for (const { primitive } of calls) dnnl.releasePrimitive(primitive);
  for (const memory of memories) dnnl.releaseMemory(memory);
  for (const block of blocks) block.release();
  return runs.map(({ least }) => least);
}
