import type { ChoiceCache } from './cache.js';
import {
  argument,
  packed,
  type ConvolutionMethod,
  type Dnnl,
  type Handle,
  type Layout,
  type Operation,
} from '../library/dnnl.js';
import type { Heap } from '../memory/heap.js';

/**
 * What was timed on this machine: recorded with a run, so that a resumed one computes the same
 * bits.
 */
export interface Choices {
  readonly recorded: Readonly<Record<string, unknown>>;
  /**
   * The fastest of several ways to compute something; timed once, unless an earlier run says which.
   */
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
export function createChoices(
  earlier: Readonly<Record<string, unknown>>,
  dnnl: Dnnl,
  heap: Heap,
  cache: ChoiceCache,
): Choices {
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
      // `convolutions` is for all: `direct` rounds as PyTorch does, `bfloat16` never computes in
      // float32 because that is faster
      const said = recorded[key] ?? recorded['convolutions'];
      const best = candidates.find(({ method }) => method === said) ?? timed(key, candidates);
      for (const other of candidates) if (other !== best) other.operation.release();
      return best;
    },
  };
}

/** Both as float32 and as two bfloat16 about 0.01. */
const filling = 0x3c233c23;
/** A candidate that takes this many times as long as the best so far is not run again. */
const hopeless = 1.4;

/**
 * The least of a few runs of each, in turns, milliseconds. The candidates' tensors lie over each
 * other.
 */
function timesOf(dnnl: Dnnl, heap: Heap, candidates: readonly Candidate[]): number[] {
  const runs = candidates.map(({ operation, arguments: list, conversions = [] }) => {
    const calls = [
      { primitive: operation.create(), tensors: list.map((which) => [which, operation.layout(which)] as const) },
    ];
    for (const [from, to] of conversions) {
      const reorder = dnnl.reorder(from, to);
      if (!reorder) continue;
      calls.push({
        primitive: reorder.create(),
        tensors: [
          [argument.source, from],
          [argument.output, to],
        ],
      });
      reorder.release();
    }
    return { calls, least: Infinity };
  });
  const sizes: number[] = [];
  for (const { calls } of runs)
    calls.flatMap(({ tensors }) => tensors).forEach(([, { bytes }], i) => (sizes[i] = Math.max(sizes[i] ?? 0, bytes)));
  const blocks = sizes.map((bytes) => heap.allocate(bytes)),
    memories: Handle[] = [];
  for (const block of blocks) {
    // now that the heap stays as it is
    const data = block.view();
    new Uint32Array(data.buffer, data.byteOffset, data.length >> 2).fill(filling);
  }
  const bound = runs.map((run) => {
    let slot = 0;
    return {
      run,
      calls: run.calls.map(({ primitive, tensors }) => ({
        primitive,
        list: packed(
          tensors.map(([which, layout]) => {
            const memory = dnnl.memory(layout);
            memories.push(memory);
            dnnl.point(memory, blocks[slot++]!.view());
            return [which, memory];
          }),
        ),
      })),
    };
  });
  for (let turn = 0; turn < 4; turn++) {
    const best = Math.min(...runs.map(({ least }) => least));
    for (const { run, calls } of bound) {
      if (run.least > hopeless * best) continue;
      const from = performance.now();
      for (const { primitive, list } of calls) dnnl.execute(primitive, list);
      if (turn > 0) run.least = Math.min(run.least, performance.now() - from);
    }
  }
  for (const { calls } of runs) for (const { primitive } of calls) dnnl.releasePrimitive(primitive);
  for (const memory of memories) dnnl.releaseMemory(memory);
  for (const block of blocks) block.release();
  return runs.map(({ least }) => least);
}
