import { PupilError } from '../errors.js';
import type { DataType, Tensor } from '../tensor.js';
import type { Attributes, Domain, Shape, Value } from './graph.js';
import type { Integers } from './inference/integers.js';
import { rules } from './inference/rules.js';

/** What a rule may look at to find the types and shapes of a node's outputs. */
export interface InferenceContext {
  readonly op: string;
  readonly name: string;
  readonly attributes: Attributes;
  /** Undefined where an optional input is absent. */
  readonly inputs: readonly (Value | undefined)[];
  /** The constant behind input `index`, when it is one. */
  constant(index: number): Tensor | undefined;
  /**
   * The elements of input `index` when they are constant or follow from sizes: what `Shape` says,
   * and what is computed from it.
   */
  integers(index: number): Integers | undefined;
  /** How many outputs the caller asked for, when it said so. */
  readonly outputCount: number | undefined;
}

export interface Inferred {
  readonly dtype: DataType;
  readonly shape: Shape;
}

/**
 * Types and shapes of a node's outputs. One table entry per op; throws an Error that names the node
 * when inputs do not fit.
 */
export type InferenceRule = (context: InferenceContext) => Inferred[];

interface NodeToInfer {
  readonly op: string;
  readonly domain: Domain;
  readonly name: string;
  readonly attributes: Attributes;
  readonly outputCount: number | undefined;
}

/** Infers the outputs of a node. Throws `unsupported` for an op without a rule. */
export function inferOutputs(
  node: NodeToInfer,
  inputs: readonly (Value | undefined)[],
  constant: (index: number) => Tensor | undefined,
  integers: (index: number) => Integers | undefined,
): Inferred[] {
  const rule = rules.get(node.op);
  if (!rule) {
    throw new PupilError(
      'unsupported',
      `${node.name}: the op ${node.op} is not supported; export the model without it`,
    );
  }
  const outputs = rule({ ...node, inputs, constant, integers });
  return node.outputCount === undefined ? outputs : outputs.slice(0, node.outputCount);
}

/** Whether an op is one of ours rather than one of ONNX's. */
export const isPupilOp = (op: string): boolean => pupilOps.has(op);

/** The whole gradients: ops of the domain `pupil`. */
export const pupilOps: ReadonlySet<string> = new Set([
  'ConvGradInput',
  'ConvGradWeight',
  'BatchNormalizationGrad',
  'LayerNormalizationGrad',
  'MaxPoolGrad',
  'AveragePoolGrad',
]);
