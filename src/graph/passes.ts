import { PupilError } from '../errors.js';
import type { Tensor } from '../tensor.js';
import { formatShape, type Dim, type Graph } from './graph.js';
import { evaluateDim } from './inference/dims.js';
import { mayEqual } from './inference/common.js';
import { requireInput, rewrite } from './passes/rewrite.js';

export { expandActivations } from './passes/expand-activations.js';
export { foldConstants } from './passes/fold.js';
export { foldNormalization } from './passes/fold-normalization.js';
export { quantize, valuesToCalibrate, type QuantizeOptions, type Range } from './passes/quantize.js';
export { prune, subgraph } from './passes/prune.js';
export { stagesOf, type Stage, type Stages } from './passes/stages.js';
export { rewrite, copyNode } from './passes/rewrite.js';
export { dump } from './dump.js';

/** Tensors by name, as a Map or as a plain object. */
export type Tensors = ReadonlyMap<string, Tensor> | Readonly<Record<string, Tensor>>;

const entriesOf = (tensors: Tensors): Iterable<[string, Tensor]> =>
  tensors instanceof Map
    ? (tensors as ReadonlyMap<string, Tensor>).entries()
    : Object.entries(tensors as Readonly<Record<string, Tensor>>);

/**
 * The graph with the inputs of these names made constants. Throws `usage` for a name that is no
 * input, or a tensor that does not fit.
 */
export function bindInputs(graph: Graph, tensors: Tensors): Graph {
  const bound = new Map(entriesOf(tensors));
  for (const [name, t] of bound) {
    const { dtype, shape } = requireInput(graph, name);
    if (t.dtype !== dtype || t.dims.length !== shape.length || t.dims.some((dim, i) => !mayEqual(dim, shape[i]!))) {
      throw new PupilError(
        'usage',
        `${graph.name}: the input ${name} is ${dtype} ${formatShape(shape)}, got ${t.dtype} ${formatShape(t.dims)}`,
      );
    }
  }
  const constants = new Map(graph.constants);
  const values = new Map(graph.values);
  for (const [name, t] of bound) {
    constants.set(name, t);
    values.set(name, { name, dtype: t.dtype, shape: t.dims });
  }
  return { ...graph, inputs: graph.inputs.filter((input) => !bound.has(input.name)), constants, values };
}

/**
 * The graph with names of sizes replaced by numbers (`{ N: 32 }`) and every shape inferred again.
 */
export function specialise(graph: Graph, sizes: Readonly<Record<string, number>>): Graph {
  const known = (dim: Dim): Dim => evaluateDim(dim, sizes) ?? dim;
  return rewrite(graph, { inputShape: (input) => input.shape.map(known) });
}
