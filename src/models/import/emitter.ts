import { listOf } from '../../graph/attributes.js';
import { GraphBuilder, type Operand } from '../../graph/builder.js';
import type { Attributes, Node, Value } from '../../graph/graph.js';
import { foldNode } from '../../graph/passes/fold.js';
import { evaluateDim } from '../../graph/inference/dims.js';
import { PupilError } from '../../errors.js';
import { sizeOf, type DataType, type Tensor } from '../../tensor.js';
import type { FreedBatch } from './batch.js';
import { isNamed } from './names.js';

/** Stored floats that a size is computed from are one for each axis. */
const mostSizes = 8;

/** The largest value of a network, in elements: one gigabyte of floats for each image. */
const mostElements = 2 ** 28;

/**
 * Adds nodes to the graph being imported, simplifying on the way: what depends only on constants
 * and sizes becomes a constant, Identity and casts to the same type vanish, two Transposes that
 * undo each other do too. Stored weights are never computed with: they stay as they are in the
 * file, so that they can become parameters.
 */
export class Emitter {
  readonly builder: GraphBuilder;
  /**
   * Tensors that the file stores as floats, by value name: what may become a parameter. The entry
   * is the file's name of it.
   */
  readonly weights = new Map<string, string>();
  /** Those among them that the file has as Constant nodes: numbers that stood in the code. */
  readonly literals = new Set<string>();
  readonly #producers = new Map<string, Node>();
  /** The name given to the nodes that a node of the file becomes. */
  #name = '';

  /** `batch`: of a file with a batch of one size that is being freed. */
  constructor(
    name: string,
    readonly batch?: FreedBatch,
  ) {
    this.builder = new GraphBuilder(name);
  }

  /** Runs `body`, whose nodes take the name of the file's node. */
  named<T>(name: string, body: () => T): T {
    const before = this.#name;
    this.#name = name;
    try {
      return body();
    } finally {
      this.#name = before;
    }
  }

  /** The node that computes a value; undefined for inputs and constants. */
  producer(value: Value): Node | undefined {
    return this.#producers.get(value.name);
  }

  /** Learns of nodes that were added to the builder directly. */
  adopt(): void {
    for (const node of this.builder.nodes) for (const output of node.outputs) this.#producers.set(output, node);
  }

  /** A stored tensor. Floats with a name of their own may become parameters. */
  stored(t: Tensor, fileName: string, isLiteral = false): Value {
    const value = this.builder.constant(t, this.free(fileName));
    if (t.dtype === 'float32') this.weights.set(value.name, fileName);
    if (isLiteral) this.literals.add(value.name);
    return value;
  }

  /** A value name that nothing has yet. */
  free(base: string): string {
    let name = base;
    for (let i = 1; this.builder.has(name); i++) name = `${base}_${i}`;
    return name;
  }

  /** The constant that a value computed from constants alone is, even from stored floats; else the value. */
  settled(value: Value): Value {
    const node = this.producer(value);
    if (!node || node.outputs.length !== 1 || this.builder.constantOf(value)) return value;
    const inputs = node.inputs.map((name) => (name === '' ? undefined : this.settled(this.builder.value(name))));
    const folded = { ...node, outputs: [this.free(`${value.name}:settled`)] };
    return inputs.every((input) => !input || this.builder.constantOf(input))
      ? (foldNode(folded, inputs, this.builder)?.[0] ?? value)
      : value;
  }

  /** Adds a node of ONNX's own domain and returns all its outputs. */
  node(
    op: string,
    inputs: readonly (Operand | null | undefined)[],
    attributes: Attributes = {},
    outputCount = 1,
  ): Value[] {
    const dtype = inputs.find((input): input is Value => typeof input === 'object' && input !== null)?.dtype;
    const values = inputs.map((input) =>
      typeof input === 'number' ? this.#scalar(input, dtype) : (input ?? undefined),
    );
    while (values.length > 0 && values[values.length - 1] === undefined) values.pop();
    const shortcut = outputCount === 1 ? this.#shortcut(op, values, attributes) : undefined;
    if (shortcut) return [shortcut];
    const name = this.#name || op;
    const node: Node = {
      name,
      op,
      domain: '',
      attributes,
      inputs: values.map((value) => value?.name ?? ''),
      outputs: Array.from({ length: outputCount }, (_, i) => this.free(i === 0 ? name : `${name}:${i}`)),
    };
    const before = this.builder.nodes.length;
    const outputs =
      this.#fold(node, values) ??
      this.builder.node(
        op,
        values.map((value) => value ?? null),
        attributes,
        { name, outputs: outputCount },
      );
    for (const output of outputs) this.#refuseHuge(output, node);
    if (values.some((value) => value && this.#isData(value))) this.builder.forgetIntegers(outputs);
    for (const added of this.builder.nodes.slice(before))
      for (const output of added.outputs) this.#producers.set(output, added);
    if (!outputs.every((output) => this.builder.constantOf(output))) this.batch?.follow(node, values, outputs);
    return outputs;
  }

  /** Adds a node and returns its first output. */
  op(op: string, inputs: readonly (Operand | null | undefined)[], attributes: Attributes = {}): Value {
    return this.node(op, inputs, attributes)[0]!;
  }

  /** Throws `unsupported` for a value that no machine would hold, before an engine tries to. */
  #refuseHuge({ shape }: Value, { name, op }: Node): void {
    const batch = this.builder.inputs[0]?.shape[0];
    const images = typeof batch === 'number' ? Math.max(1, batch) : 1;
    const count = sizeOf(shape.map((dim) => evaluateDim(dim, { N: 1 }) ?? 1)) / images;
    if (count <= mostElements) return;
    throw new PupilError(
      'unsupported',
      `${this.builder.name}: the node ${name} (${op}) makes ${count.toPrecision(3)} numbers for one image; ` +
        `a network may make ${mostElements} at once: use another one`,
    );
  }

  #scalar(value: number, dtype: DataType | undefined): Value {
    return this.builder.scalar(value, dtype);
  }

  /**
   * Weights are not folded into other constants, but their sizes may be. A single number is one when
   * the file names it.
   */
  #fold(node: Node, inputs: readonly (Value | undefined)[]): Value[] | undefined {
    const touchesWeight = inputs.some((input) => {
      const fileName = input && this.weights.get(input.name);
      if (fileName === undefined) return false;
      return (this.builder.constantOf(input)?.data.length ?? 0) > 1 || isNamed(fileName);
    });
    return touchesWeight && node.op !== 'Shape' && node.op !== 'Size'
      ? undefined
      : foldNode(node, inputs, this.builder);
  }

  /** Weights that are not among the few numbers that sizes may be computed from. */
  #isData(value: Value): boolean {
    const fileName = this.weights.get(value.name);
    if (fileName === undefined) return false;
    const count = this.builder.constantOf(value)?.data.length ?? 0;
    return count > mostSizes || (count > 1 && isNamed(fileName));
  }

  #shortcut(op: string, [x, y]: readonly (Value | undefined)[], attributes: Attributes): Value | undefined {
    if (!x) return undefined;
    if (op === 'Identity') return x;
    if (op === 'Cast' && attributes.to === 1 && x.dtype === 'float32') return x;
    if (op === 'Cast' && attributes.to === 7 && x.dtype === 'int64') return x;
    if (op === 'Transpose') {
      const first = this.producer(x);
      const perm = listOf(attributes, 'perm');
      const before = first?.op === 'Transpose' ? listOf(first.attributes, 'perm') : undefined;
      if (perm?.every((axis, i) => axis === i)) return x;
      if (perm && before && perm.every((axis, i) => before[axis] === i)) return this.builder.value(first!.inputs[0]!);
    }
    // A Reshape to the shape that is there already.
    if (op === 'Reshape' && y && this.builder.constantOf(y)) {
      const target = this.builder.integersOf(y)!.elements;
      if (target.length === x.shape.length && target.every((dim, i) => dim === x.shape[i] || dim === 0)) return x;
    }
    return undefined;
  }
}
