import type { Graph, Value } from '../graph/graph.js';
import { subgraph } from '../graph/passes.js';
import type { Model } from './model.js';

/**
 * Values of a network through which all of the image passes, in order: the outputs of its blocks, and
 * values inside those without a shortcut. `from` is the image, `to` the value that it leads to.
 */
export function cutsOf(graph: Graph, from: string, to: string): readonly Value[] {
  const part = subgraph(graph, [from], [to]);
  const uses = new Map<string, number>();
  for (const { inputs } of part.nodes) for (const input of inputs) uses.set(input, (uses.get(input) ?? 0) + 1);
  // Values made from the image that are still to be read, and how often.
  const open = new Map([[from, uses.get(from) ?? 0]]);
  const cuts: Value[] = [];
  for (const { inputs, outputs } of part.nodes) {
    if (!inputs.some((input) => open.has(input))) continue;
    for (const input of inputs) {
      const left = open.get(input);
      if (left === undefined) continue;
      if (left === 1) open.delete(input);
      else open.set(input, left - 1);
    }
    for (const output of outputs) if (uses.has(output)) open.set(output, uses.get(output)!);
    const [only] = open.keys();
    if (open.size === 1 && only !== from) cuts.push(part.values.get(only!)!);
  }
  return cuts;
}

/**
 * An earlier layer than the classifier's features whose means say more of texture and colour: the
 * last cut at twice the final resolution, or for tokens, which keep theirs, that at three quarters of
 * the way. Undefined where there is none.
 */
export function earlierLayer({ graph, head }: Model): Value | undefined {
  if (head === undefined) return undefined;
  const cuts = cutsOf(graph, 'input', head.features).filter(({ shape }) => positionsOf(shape) > 1);
  const last = cuts.at(-1);
  if (last === undefined) return undefined;
  const larger = cuts.filter(({ shape }) => positionsOf(shape) > positionsOf(last.shape)).at(-1);
  return last.shape.length === 4 && larger !== undefined ? larger : cuts[Math.floor(0.75 * (cuts.length - 1))];
}

/** Places of a map [N, C, H, W], tokens of [N, T, C]. */
function positionsOf(shape: Value['shape']): number {
  if (shape.length === 4) return Number(shape[2]) * Number(shape[3]);
  return shape.length === 3 ? Number(shape[1]) : 1;
}
