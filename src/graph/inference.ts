import { activationGradients } from './activations.js';
import { PupilError } from '../errors.js';
import type { Tensor } from '../tensor.js';
import type { Attributes, Domain, Value } from './graph.js';
import type { Integers } from './inference/integers.js';
import type { Inferred } from './inference/rule.js';
import { rules } from './inference/rules.js';

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

/**
 * The whole gradients, and `MeanOverRanks`: ops of the domain `pupil`. That one is the mean of a tensor over processes
 * that train together, each on its part of a batch. Graphs are cut there (`passes/stages.ts`); for a process alone it
 * is the identity.
 */
export const pupilOps: ReadonlySet<string> = new Set([
  'ConvGradInput',
  'ConvGradWeight',
  'BatchNormalizationGrad',
  'LayerNormalizationGrad',
  'MaxPoolGrad',
  'AveragePoolGrad',
  'ClipGrad',
  'MeanOverRanks',
  ...activationGradients.values(),
]);
