import type { Graph } from '../graph/graph.js';
import { bindInputs, foldConstants, prune } from '../graph/passes.js';
import type { Model } from './model.js';

/** A graph made of a model, or of a part of it, with the weights that it reads as constants. */
export function weightsInPlace(graph: Graph, { parameters }: Pick<Model, 'parameters'>): Graph {
  const read = graph.inputs.flatMap(({ name }) => {
    const value = parameters.get(name);
    return value === undefined ? [] : [[name, value] as const];
  });
  return prune(foldConstants(bindInputs(graph, new Map(read))));
}
