import { invariant } from '../errors.js';
import { float32, int64, tensor, type DataType, type Tensor } from '../tensor.js';
import type { Attributes, Domain, Graph, Node, Shape, Value } from './graph.js';
import { inferOutputs, isPupilOp } from './inference.js';
import { inferIntegers, integersOf, type Integers } from './inference/integers.js';

/**
 * An operand: a value of this graph, or a number, which becomes a scalar constant of the other
 * operand's type.
 */
export type Operand = Value | number;

export interface NodeOptions {
  readonly name?: string;
  readonly domain?: Domain;
  /** How many outputs to make (default: all that the op must have). */
  readonly outputs?: number;
  /** Names for the outputs, in order; the rest are made up from the node's name. */
  readonly outputNames?: readonly string[];
}

/**
 * Builds a graph node by node; types and shapes are inferred as nodes are added, so a mistake is
 * found where it is made.
 */
export class GraphBuilder {
  readonly name: string;
  readonly #inputs: Value[] = [];
  #outputs: string[] = [];
  readonly #nodes: Node[] = [];
  readonly #constants = new Map<string, Tensor>();
  readonly #values = new Map<string, Value>();
  /** Integer tensors whose elements follow from sizes. */
  readonly #integers = new Map<string, Integers>();
  readonly #scalars = new Map<string, Value>();
  readonly #nodeNames = new Set<string>();
  readonly #counters = new Map<string, number>();
  readonly #prefix: string[] = [];

  constructor(name = 'graph') {
    this.name = name;
  }

  /** A builder that continues `graph`; its outputs are kept until `outputs` is called. */
  static from(graph: Graph): GraphBuilder {
    const builder = new GraphBuilder(graph.name);
    builder.#inputs.push(...graph.inputs);
    builder.#outputs = [...graph.outputs];
    builder.#nodes.push(...graph.nodes);
    for (const [name, t] of graph.constants) builder.#constants.set(name, t);
    for (const [name, value] of graph.values) builder.#values.set(name, value);
    for (const node of graph.nodes) {
      builder.#nodeNames.add(node.name);
      builder.#trackIntegers(node);
    }
    return builder;
  }

  /** Nodes added inside `body` get names that begin with `scope/`. */
  scope<T>(scope: string, body: () => T): T {
    this.#prefix.push(scope);
    try {
      return body();
    } finally {
      this.#prefix.pop();
    }
  }

  get nodes(): readonly Node[] {
    return this.#nodes;
  }

  get inputs(): readonly Value[] {
    return this.#inputs;
  }

  /** The value of that name. Throws when there is none. */
  value(name: string): Value {
    const value = this.#values.get(name);
    invariant(value, `${this.name}: no value named ${JSON.stringify(name)}`);
    return value;
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }

  /** The constant behind a value, or undefined when it is computed or fed. */
  constantOf(value: Value | undefined): Tensor | undefined {
    return value && this.#constants.get(value.name);
  }

  /**
   * The elements of an integer value when they are constant or follow from sizes (`Shape` and what
   * is computed from it).
   */
  integersOf(value: Value | undefined): Integers | undefined {
    if (!value) return undefined;
    const t = this.#constants.get(value.name);
    return t ? integersOf(t) : this.#integers.get(value.name);
  }

  /** Says that values are data, whatever sizes they seem to be. */
  forgetIntegers(values: readonly Value[]): void {
    for (const { name } of values) this.#integers.delete(name);
  }

  /** Declares an input, fed at run time. */
  input(name: string, dtype: DataType, shape: Shape): Value {
    const value = this.#define({ name, dtype, shape });
    this.#inputs.push(value);
    return value;
  }

  /** A constant; without a name, equal scalars share one. */
  constant(t: Tensor, name?: string): Value {
    if (name === undefined && t.dims.length === 0) {
      const key = `${t.dtype}:${String(t.data[0])}${Object.is(t.data[0], -0) ? '-' : ''}`;
      let scalar = this.#scalars.get(key);
      if (!scalar) {
        scalar = this.constant(t, this.#unique(`constant_${t.dtype}`));
        this.#scalars.set(key, scalar);
      }
      return scalar;
    }
    const value = this.#define({ name: name ?? this.#unique('constant'), dtype: t.dtype, shape: t.dims });
    this.#constants.set(value.name, t);
    return value;
  }

  /** A scalar constant of the given type. */
  scalar(value: number, dtype: DataType = 'float32'): Value {
    if (dtype === 'int64') return this.constant(int64([], [value]));
    if (dtype === 'float32') return this.constant(float32([], [value]));
    if (dtype === 'float64') return this.constant(tensor('float64', [], Float64Array.of(value)));
    if (dtype === 'bool') return this.constant(tensor('bool', [], Uint8Array.of(value)));
    if (dtype === 'int32') return this.constant(tensor('int32', [], Int32Array.of(value)));
    throw new Error(`scalar: no constants of type ${dtype}`);
  }

  /** A one-dimensional int64 constant: shapes, axes, pads. */
  ints(values: readonly number[]): Value {
    return this.constant(int64([values.length], values));
  }

  /** Adds a node and returns all its outputs. `null` marks an optional input that is absent. */
  node(
    op: string,
    inputs: readonly (Operand | null)[],
    attributes: Attributes = {},
    options: NodeOptions = {},
  ): Value[] {
    const domain = options.domain ?? (isPupilOp(op) ? 'pupil' : '');
    const dtype = inputs.find((input): input is Value => input !== null && typeof input === 'object')?.dtype;
    const values = inputs.map((input) => (typeof input === 'number' ? this.scalar(input, dtype) : input));
    while (values.length > 0 && values[values.length - 1] === null) values.pop();
    const name = this.#uniqueNode(options.name ?? op);
    const inferred = inferOutputs(
      { op, domain, name, attributes, outputCount: options.outputs ?? options.outputNames?.length },
      values.map((value) => value ?? undefined),
      (index) => this.constantOf(values[index] ?? undefined),
      (index) => this.integersOf(values[index] ?? undefined),
    );
    const outputs = inferred.map(({ dtype, shape }, index) =>
      this.#define({
        name: options.outputNames?.[index] ?? this.#unique(index === 0 ? name : `${name}:${index}`),
        dtype,
        shape,
      }),
    );
    const node: Node = {
      name,
      op,
      domain,
      attributes,
      inputs: values.map((value) => value?.name ?? ''),
      outputs: outputs.map((value) => value.name),
    };
    this.#nodes.push(node);
    this.#trackIntegers(node);
    return outputs;
  }

  /** Adds a node and returns its first output. */
  op(op: string, inputs: readonly (Operand | null)[], attributes: Attributes = {}, options: NodeOptions = {}): Value {
    return this.node(op, inputs, attributes, options)[0]!;
  }

  /**
   * Replaces the list of outputs. With names given, an Identity renames each value that is called
   * otherwise.
   */
  outputs(values: readonly Value[] | Readonly<Record<string, Value>>): void {
    this.#outputs = Array.isArray(values)
      ? (values as readonly Value[]).map((value) => value.name)
      : Object.entries(values as Readonly<Record<string, Value>>).map(([name, value]) =>
          value.name === name
            ? name
            : this.op('Identity', [value], {}, { name: `output ${name}`, outputNames: [name] }).name,
        );
  }

  /** The finished graph. The builder may go on; the graph does not change any more. */
  build(): Graph {
    return {
      name: this.name,
      inputs: [...this.#inputs],
      outputs: [...this.#outputs],
      nodes: [...this.#nodes],
      constants: new Map(this.#constants),
      values: new Map(this.#values),
    };
  }

  #trackIntegers(node: Node): void {
    const output = this.#values.get(node.outputs[0] ?? '');
    if (!output || output.shape.length > 1) return;
    const values = node.inputs.map((input) => (input === '' ? undefined : this.#values.get(input)));
    const known = inferIntegers(
      node,
      values.map((value) => this.integersOf(value)),
      values,
    );
    if (known) this.#integers.set(output.name, known);
  }

  #define(value: Value): Value {
    invariant(
      value.name !== '' && !this.#values.has(value.name),
      `${this.name}: the value name ${JSON.stringify(value.name)} is taken`,
    );
    this.#values.set(value.name, value);
    return value;
  }

  #unique(base: string): string {
    return this.#free(base, (name) => this.#values.has(name));
  }

  #uniqueNode(base: string): string {
    const name = this.#free([...this.#prefix, base].join('/'), (candidate) => this.#nodeNames.has(candidate));
    this.#nodeNames.add(name);
    return name;
  }

  #free(base: string, taken: (name: string) => boolean): string {
    if (!taken(base)) return base;
    for (let i = (this.#counters.get(base) ?? 0) + 1; ; i++) {
      const name = `${base}_${i}`;
      if (!taken(name)) {
        this.#counters.set(base, i);
        return name;
      }
    }
  }
}
