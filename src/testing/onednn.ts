import { existsSync } from 'node:fs';
import { createChoices } from '../engine/onednn/choices/choices.js';
import { compileProgram } from '../engine/onednn/compile.js';
import { createHeap } from '../engine/onednn/memory/heap.js';
import { loadDnnl } from '../engine/onednn/library/load.js';
import { hasBfloat16 } from '../engine/onednn/precision.js';
import { createStore } from '../engine/onednn/memory/store.js';
import type { Graph } from '../graph/graph.js';
import { numbersOf, type Tensor } from '../tensor.js';

/**
 * Why tests of the oneDNN engine are skipped, or false where the library is there; the same of
 * those in bfloat16.
 */
export const [withoutDnnl, withoutBfloat16] = ((): readonly [string | false, string | false] => {
  let loaded;
  try {
    loaded = loadDnnl();
  } catch {
    const reason = 'needs oneDNN (libdnnl2)';
    return [reason, reason];
  }
  return [false, hasBfloat16(loaded.dnnl) ? false : 'hardware: needs a processor with avx512_bf16 or AMX'];
})();

/**
 * Choices of an engine in bfloat16 that make everything so that may be: small values, and
 * convolutions that are faster in float32.
 */
export const allBfloat16 = { bfloat16From: 1, convolutions: 'bfloat16' } as const;

/** What a program computed, and the kinds of steps that did. */
export interface Profiled {
  readonly outputs: Readonly<Record<string, Tensor>>;
  readonly kinds: readonly string[];
}

/** Compiles a graph in this thread and runs it once. */
export function runProfiled(
  graph: Graph,
  feeds: Readonly<Record<string, Tensor>>,
  { isHalved = false, choices = {} }: { isHalved?: boolean; choices?: Readonly<Record<string, unknown>> } = {},
): Profiled {
  const { dnnl } = loadDnnl(),
    heap = createHeap((buffer) => dnnl.address(buffer)),
    store = createStore(dnnl, heap);
  const known = new Map<string, string>();
  const timed = createChoices(choices, dnnl, heap, {
    get: (key) => known.get(key),
    set: (key, choice) => void known.set(key, choice),
    save: () => undefined,
  });
  const program = compileProgram(graph, { dnnl, heap, store, choices: timed }, { state: {}, profile: true, isHalved });
  try {
    const outputs = program.run(feeds);
    return { outputs, kinds: program.profile().map(({ kind }) => kind) };
  } finally {
    program.release();
  }
}

/** The root mean square of the difference, relative to that of the expected values. */
export function relativeError(actual: Tensor, expected: Tensor): number {
  const [got, want] = [numbersOf(actual), numbersOf(expected)];
  return Math.sqrt(
    want.reduce((sum, value, i) => sum + (value - got[i]!) ** 2, 0) /
      (want.reduce((sum, value) => sum + value * value, 0) + 1e-30),
  );
}

/**
 * Where oneDNN 3.x is for the tests that call it (`PUPIL_ONEDNN3`), besides the system's, which may
 * be 2.x.
 */
export const dnnl3 = process.env['PUPIL_ONEDNN3'] ?? '';

/** Why tests of oneDNN 3.x are skipped, or false. */
export const withoutDnnl3: string | false = existsSync(dnnl3)
  ? false
  : `optional library: oneDNN 3.x (PUPIL_ONEDNN3 names ${dnnl3 === '' ? 'none' : `${dnnl3}, which does not exist`})`;
