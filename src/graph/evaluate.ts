import { invariant, PupilError } from '../errors.js';
import type { Tensor } from '../tensor.js';
import { convolutions } from './evaluate/convolution.js';
import { fromTensor, isFloat, roundTo, toTensor, type Dense } from './evaluate/dense.js';
import { elementwise } from './evaluate/elementwise.js';
import { indexing } from './evaluate/indexing.js';
import type { Kernel } from './evaluate/kernel.js';
import { linear } from './evaluate/linear.js';
import { normalization } from './evaluate/normalization.js';
import { pooling } from './evaluate/pooling.js';
import { reductions } from './evaluate/reduction.js';
import { resampling } from './evaluate/resampling.js';
import { shape } from './evaluate/shape.js';
import type { Graph, Node } from './graph.js';

export interface EvaluateOptions {
  /**
   * Computes and stores every floating type as float64 (default: each op in double, its result
   * rounded to its type).
   */
  readonly float64?: boolean;
}

/** A table of tables into one map; two entries for one op are a mistake. */
function merge(...tables: readonly Readonly<Record<string, Kernel>>[]): ReadonlyMap<string, Kernel> {
  const merged = new Map<string, Kernel>();
  for (const table of tables) {
    for (const [op, kernel] of Object.entries(table)) {
      invariant(!merged.has(op), `two kernels for ${op}`);
      merged.set(op, kernel);
    }
  }
  return merged;
}

/**
 * What every op means, as plain loops: the reference that engines and gradients are held against,
 * and constant folding.
 */
export const kernels: ReadonlyMap<string, Kernel> = merge(
  elementwise,
  reductions,
  linear,
  convolutions,
  pooling,
  normalization,
  shape,
  indexing,
  resampling,
);

/** Whether `evaluateNode` knows the op. */
export const canEvaluate = (op: string): boolean => kernels.has(op);

function run(
  node: Pick<Node, 'op' | 'name' | 'attributes' | 'outputs'>,
  inputs: readonly (Dense | undefined)[],
  float64: boolean,
): readonly Dense[] {
  const kernel = kernels.get(node.op);
  if (!kernel)
    throw new PupilError(
      'unsupported',
      `${node.name}: the op ${node.op} cannot be computed by the reference; export the model without it`,
    );
  const input = (index: number): Dense => {
    const x = inputs[index];
    invariant(x, `input ${index} is missing`);
    return x;
  };
  try {
    const outputs = kernel({
      op: node.op,
      attributes: node.attributes,
      inputs,
      input,
      outputCount: node.outputs.length,
    });
    return outputs.map((output) => {
      if (float64 && isFloat(output.dtype)) return { ...output, dtype: 'float64' };
      if (!inputs.includes(output)) roundTo(output.dtype, output.data);
      return output;
    });
  } catch (error) {
    throw new Error(`${node.name}: ${(error as Error).message}`, { cause: error });
  }
}

/**
 * Computes one node from its inputs (undefined where absent). Throws when the op has no kernel or
 * the inputs do not fit.
 */
export function evaluateNode(
  node: Node,
  inputs: readonly (Tensor | undefined)[],
  options: EvaluateOptions = {},
): Tensor[] {
  const float64 = options.float64 ?? false;
  return run(
    node,
    inputs.map((input) => input && fromTensor(input, float64)),
    float64,
  ).map(toTensor);
}

/** Computes a graph's outputs by name. Slow and plain; for tests, references and small graphs. */
export function evaluateGraph(
  graph: Graph,
  feeds: Readonly<Record<string, Tensor>>,
  options: EvaluateOptions = {},
): Record<string, Tensor> {
  const float64 = options.float64 ?? false;
  const values = new Map<string, Dense>();
  for (const { name, dtype } of graph.inputs) {
    const feed = feeds[name];
    invariant(feed, `${graph.name}: nothing was fed for the input ${JSON.stringify(name)}`);
    invariant(
      feed.dtype === dtype || (float64 && isFloat(dtype) && isFloat(feed.dtype)),
      `${graph.name}: the input ${JSON.stringify(name)} is ${dtype}, got ${feed.dtype}`,
    );
    values.set(name, fromTensor(feed, float64));
  }
  const constants = (name: string): Dense | undefined => {
    const constant = graph.constants.get(name);
    return constant && fromTensor(constant, float64);
  };
  const lastUse = new Map<string, Node>();
  for (const node of graph.nodes) for (const name of node.inputs) lastUse.set(name, node);
  for (const name of graph.outputs) lastUse.delete(name);
  for (const node of graph.nodes) {
    const outputs = run(
      node,
      node.inputs.map((name) => (name === '' ? undefined : (values.get(name) ?? constants(name)))),
      float64,
    );
    node.outputs.forEach((name, i) => {
      if (name !== '' && outputs[i]) values.set(name, outputs[i]);
    });
    for (const name of node.inputs) if (lastUse.get(name) === node) values.delete(name);
  }
  return Object.fromEntries(
    graph.outputs.map((name) => {
      const value = values.get(name) ?? constants(name);
      invariant(value, `${graph.name}: no node makes the output ${JSON.stringify(name)}`);
      return [name, toTensor(value)];
    }),
  );
}
