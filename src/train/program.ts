import { invariant } from '../errors.js';
import { GraphBuilder } from '../graph/builder.js';
import type { Graph, Value } from '../graph/graph.js';
import { math, type GraphMath } from '../graph/math.js';
import { foldConstants, prune } from '../graph/passes.js';
import { whole, type Slice } from '../parallel/communicator.js';
import { float32, type DataType, type Tensor } from '../tensor.js';
import { drawMask, drawUniform, type MaskSpec, type UniformSpec } from './noise.js';
import { zerosLike, type ScalarRule, type StepPosition, type Trainable, type TransformContext } from './transforms.js';

/**
 * A graph that reads and replaces entries of the engine's store, and what is to be fed to it
 * besides data.
 */
export interface StepProgram {
  readonly graph: Graph;
  /**
   * For `Engine.compile`: graph inputs from the store, and the outputs that replace them (null:
   * only read).
   */
  readonly state: Readonly<Record<string, string | null>>;
  /** Inputs that hold data, in order of declaration: `pixels`, `targets`. */
  readonly inputs: readonly Value[];
  readonly masks: readonly MaskSpec[];
  /** Names of scalar inputs. */
  readonly scalars: readonly string[];
  /**
   * What to feed besides data: scalars and noise, computed from the position (and the seed) alone.
   */
  feeds(position: StepPosition): Record<string, Tensor>;
}

/** Builds a `StepProgram`: a graph builder that keeps account of state, scalars and noise. */
export class ProgramBuilder {
  readonly builder: GraphBuilder;
  readonly math: GraphMath;
  readonly #seed: number;
  readonly #initial: Map<string, Tensor>;
  readonly #slice: Slice;
  readonly #current = new Map<string, Value>();
  readonly #declared = new Map<string, Value>();
  readonly #inputs: Value[] = [];
  readonly #masks: MaskSpec[] = [];
  readonly #uniform: UniformSpec[] = [];
  readonly #scalars = new Map<string, { value: Value; rule: ScalarRule }>();

  /**
   * `initial` collects what the store must hold before the first run. Noise is drawn for the rows of
   * `slice`.
   */
  constructor(name: string, seed: number, initial: Map<string, Tensor>, slice = whole) {
    this.builder = new GraphBuilder(name);
    this.math = math(this.builder);
    this.#seed = seed;
    this.#initial = initial;
    this.#slice = slice;
  }

  /**
   * Declares an entry of the store as an input, once; returns its value before the step. `initial`
   * may be left out once any program of the step has given it.
   */
  state(name: string, initial?: () => Tensor): Value {
    let value = this.#declared.get(name);
    if (!value) {
      if (initial && !this.#initial.has(name)) this.#initial.set(name, initial());
      const first = this.#initialOf(name);
      value = this.builder.input(name, first.dtype, first.dims);
      this.#declared.set(name, value);
      this.#current.set(name, value);
    }
    return value;
  }

  #initialOf(name: string): Tensor {
    const first = this.#initial.get(name);
    invariant(first, `${this.builder.name}: ${name} has no initial value`);
    return first;
  }

  /** The latest value of an entry: as declared, or as set since. */
  current(name: string): Value {
    const value = this.#current.get(name);
    invariant(value, `${this.builder.name}: ${name} is not part of the state`);
    return value;
  }

  /** Sets what an entry holds after the step. */
  set(name: string, value: Value): void {
    invariant(this.#declared.has(name), `${this.builder.name}: ${name} is not part of the state`);
    this.#current.set(name, value);
  }

  /** Declares an input that holds data. */
  input(name: string, dtype: DataType, dims: readonly number[]): Value {
    const value = this.builder.input(name, dtype, dims);
    this.#inputs.push(value);
    return value;
  }

  /** Declares a scalar input computed from the position; the same name gives the same input. */
  scalar(name: string, rule: ScalarRule): Value {
    let entry = this.#scalars.get(name);
    if (!entry) {
      entry = { value: this.builder.input(name, 'float32', []), rule };
      this.#scalars.set(name, entry);
    }
    return entry.value;
  }

  /**
   * Declares a mask input; a second pass through the same node gets a mask of its own. `blocks` as in
   * `MaskSpec`.
   */
  mask(node: string, dims: readonly number[], rate: number, blocks?: readonly number[]): Value {
    let input = `mask:${node}`;
    for (let i = 2; this.builder.has(input); i++) input = `mask:${node}:${i}`;
    this.#masks.push({ input, dims, rate, blocks });
    return this.builder.input(input, 'float32', dims);
  }

  /** The mean of a value over all ranks, in place of this one's; its gradient is meant as well. */
  meanOverRanks(value: Value): Value {
    return this.builder.op('MeanOverRanks', [value]);
  }

  /** Declares an input of numbers uniform in [0, 1). */
  uniform(input: string, dims: readonly number[]): Value {
    this.#uniform.push({ input, dims });
    return this.builder.input(input, 'float32', dims);
  }

  /** What transforms of these parameters, entries of the store, are built in. */
  transforming(parameters: readonly Omit<Trainable, 'value'>[]): TransformContext {
    return {
      math: this.math,
      parameters: parameters.map((entry) => ({ ...entry, value: this.state(entry.name) })),
      scalar: (name, rule) => this.scalar(name, rule),
      slot: ({ name, value }, slot, initial = 'zeros') =>
        this.state(`${name}@${slot}`, () => (initial === 'zeros' ? zerosLike(value) : this.#initialOf(name))),
      keep: ({ name }, slot, value) => this.set(`${name}@${slot}`, value),
    };
  }

  /** The finished program; `outputs` are what a run returns. */
  finish(outputs: Readonly<Record<string, Value>>): StepProgram {
    const { builder } = this;
    const state: Record<string, string | null> = {};
    // An Identity names the few outputs that are read; new state keeps the names it has, since
    // renaming would copy it.
    const results = Object.entries(outputs).map(([name, value]) =>
      builder.op('Identity', [value], {}, { name: `output ${name}`, outputNames: [name] }),
    );
    for (const [name, declared] of this.#declared) {
      const value = this.#current.get(name)!;
      state[name] = value === declared ? null : value.name;
      if (value !== declared) results.push(value);
    }
    builder.outputs(results);
    const graph = prune(foldConstants(builder.build()));
    // Inputs that nothing reads may be gone.
    const read = new Set(graph.inputs.map(({ name }) => name));
    for (const name of Object.keys(state)) if (!read.has(name) && state[name] === null) delete state[name];
    const masks = this.#masks.filter(({ input }) => read.has(input));
    const uniform = this.#uniform.filter(({ input }) => read.has(input));
    const scalars = [...this.#scalars].filter(([name]) => read.has(name));
    return {
      graph,
      state,
      masks,
      inputs: this.#inputs.filter(({ name }) => read.has(name)),
      scalars: scalars.map(([name]) => name),
      feeds: (position) =>
        Object.fromEntries([
          ...scalars.map(([name, { rule }]) => [name, float32([], [rule(position)])] as const),
          ...masks.map((mask) => [mask.input, drawMask(mask, this.#seed, position, this.#slice)] as const),
          ...uniform.map((spec) => [spec.input, drawUniform(spec, this.#seed, position, this.#slice)] as const),
        ]),
    };
  }
}
