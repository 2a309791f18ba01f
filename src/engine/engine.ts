import type { Graph } from '../graph/graph.js';
import type { Tensor } from '../tensor.js';

/**
 * An engine runs graphs. It also keeps a store of named tensors, the *state* (parameters, optimizer
 * slots, averages), which its programs read and replace without the tensors leaving the engine: one
 * training step is one run, and an evaluation program reads the same parameters.
 */
export interface Engine {
  /** `ort`, `webgpu`, `onednn`, `reference`. */
  readonly name: string;
  /** One line for people: library, version, provider, threads. */
  readonly description: string;
  /** What its activations and gradients are computed in. */
  readonly precision: 'f32' | 'bf16';
  /** Prepares a graph, whose shapes must be static apart from the batch `N` of inference graphs. */
  compile(graph: Graph, options?: CompileOptions): Promise<Program>;
  /** Puts tensors (copies) into the store; entries not named stay. `transfer` as in `Program.run`. */
  write(state: ReadonlyMap<string, Tensor>, options?: { readonly transfer?: boolean }): Promise<void>;
  /** Copies of the store's tensors: those named, or all. Throws when a name is not there. */
  read(names?: readonly string[]): Promise<Map<string, Tensor>>;
  /**
   * Float32 entries of the store where they lie, not copies: for elementwise work until the engine is called next.
   * Those that cannot be shown, in some engines all, are left out.
   */
  lend(names: readonly string[]): Promise<ReadonlyMap<string, Lent>>;
  /** Removes entries from the store. */
  remove(names: readonly string[]): Promise<void>;
  /** Timed choices made so far, to be saved with a run (JSON). */
  readonly choices: Readonly<Record<string, unknown>>;
  /** Ends the engine and its worker thread. Programs cannot run any more. */
  close(): Promise<void>;
}

/** An entry of the store where it lies. */
export interface Lent {
  /** Its elements in the order in which the engine keeps them, with padding, which stays 0. */
  readonly data: Float32Array;
  /** The order in words: engines in which an entry has the same one keep it alike, element by element. */
  readonly order: string;
}

export interface CompileOptions {
  /**
   * Graph inputs that come from the store, and the graph output that replaces each after a run
   * (null: only read). The store's key is the input's name. Such outputs are not returned.
   */
  readonly state?: Readonly<Record<string, string | null>>;
  /** Optimise for repeated inference with all constants folded (default false: weights change). */
  readonly inference?: boolean;
  /**
   * Compute in float32 whatever the engine's precision (default: as `inference`, since deployed
   * models do).
   */
  readonly exact?: boolean;
}

export interface Program {
  /**
   * Runs the graph once: feeds for all inputs but those from the store; returns the outputs that do
   * not go to the store. Feeds may be transferred to a worker: their buffers must not be used
   * afterwards when `transfer` is true.
   */
  run(
    feeds: Readonly<Record<string, Tensor>>,
    options?: { readonly transfer?: boolean },
  ): Promise<Record<string, Tensor>>;
  close(): Promise<void>;
}

/**
 * What activations and gradients are computed in; parameters, statistics and the loss are float32.
 */
export const precisions = ['auto', 'f32', 'bf16'] as const;
export type Precision = (typeof precisions)[number];

export interface EngineOptions {
  /** Default auto: the engine's own choice for the machine. */
  readonly precision?: Precision;
  /** Threads inside an op; default: the number of physical cores that onnxruntime finds. */
  readonly threads?: number;
  /** Choices of an earlier run, reused so that a resumed run computes the same bits. */
  readonly choices?: Readonly<Record<string, unknown>>;
  /**
   * Writes a profile of every program to a file that begins with this path, when the engine
   * supports it.
   */
  readonly profile?: string;
}
