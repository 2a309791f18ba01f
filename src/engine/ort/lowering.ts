import type { Node, Value } from '../../graph/graph.js';
import type { Emitter } from './emitter.js';
import type { Sized } from './sized.js';
import type { Convolution, FilterGradientMethod } from './lowerings/convolution.js';

/**
 * What depends on the machine: recorded with a run, so that a resumed one computes the same bits.
 */
export interface Choices {
  readonly recorded: Readonly<Record<string, unknown>>;
  /**
   * Channels per block of onnxruntime's blocked convolutions (16 with AVX-512, 8 with AVX), or 0
   * where there are none.
   */
  readonly block: 0 | 8 | 16;
  /** How the filter gradient of a convolution is computed. */
  filterGradient(c: Convolution): FilterGradientMethod;
}

/**
 * A result in onnxruntime's blocked layout (lowerings/blocked.ts); it is put in plain order when
 * someone wants it so.
 */
export interface InBlocks {
  readonly blocked: Sized;
}

/**
 * What a lowering gets: the node, its inputs in either layout, and the emitter to write nodes with.
 */
export interface LoweringContext {
  readonly e: Emitter;
  readonly node: Node;
  /** The node's outputs as declared in the graph. */
  readonly outputs: readonly Value[];
  readonly choices: Choices;
  has(index: number): boolean;
  /** Input `index` as declared: its shape may be looked at without asking for a layout. */
  declared(index: number): Value;
  /** Input `index` in plain order; its sizes must be known. */
  input(index: number): Sized;
  /** Input `index` in the blocked layout. */
  blocked(index: number): Sized;
  /** Whether input `index` is at hand in the blocked layout. */
  isBlocked(index: number): boolean;
  /** The node that made a value of the graph. */
  producer(name: string): Node | undefined;
  /** A value of the graph in one of the layouts; its sizes must be known. */
  take(name: string, isBlocked: boolean): Sized;
  /** The number behind a constant of one element. */
  constant(name: string): number | undefined;
  /**
   * Applies an elementwise function to a value of the graph (default: input 0) in the layout that
   * it is at hand in.
   */
  each(body: (x: Sized, isBlocked: boolean) => Sized, name?: string): readonly (Value | InBlocks)[];
  /** How often a value of the graph is read, as an output too. */
  uses(name: string): number;
  /**
   * Ways to compute a blocked value together with what follows it, by its name in the lowered
   * graph.
   */
  readonly fusible: Map<string, Fusible>;
}

/**
 * Computes a blocked value with an addition or an activation in the same pass; a pass without them
 * is then dropped.
 */
export type Fusible = (options: AffineOptions) => Sized;

/** Writes other nodes in place of one; one value per output. Undefined when it does not apply. */
export type Lowering = (context: LoweringContext) => readonly (Value | InBlocks | undefined)[] | undefined;

/** What a blocked convolution can do to its result in the same pass. */
export interface AffineOptions {
  /** Added to the result: blocked, of the same shape. */
  readonly plus?: Sized;
  /** Applied last; onnxruntime's name and parameters. */
  readonly activation?: { readonly name: string; readonly parameters: readonly number[] };
}

/** By op the rules to try in order; ops that none applies to go to onnxruntime as they are. */
export type Lowerings = ReadonlyMap<string, readonly Lowering[]>;
