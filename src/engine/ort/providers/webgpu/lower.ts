import type { Graph } from '../../../../graph/graph.js';
import type { Choices } from '../../lowering.js';
import { lower } from '../../lower.js';
import type { Lowering, Lowerings } from '../../lowering.js';
import { lowerings } from '../../lowerings/index.js';
import { gradients } from './lowerings/gradients.js';
import { substitutes } from './lowerings/substitutes.js';

/** Rules of its own before those that every provider shares. */
const first: Lowerings = new Map(
  [...new Set([...lowerings.keys(), ...Object.keys(gradients)])].map((op) => [
    op,
    [...(gradients[op] ? [gradients[op]] : []), ...(lowerings.get(op) ?? [])],
  ]),
);

const second: Lowerings = new Map(Object.entries(substitutes).map(([op, rule]): [string, Lowering[]] => [op, [rule]]));

/**
 * Rewrites a graph for the WebGPU provider: whole gradients into ops, then what the provider lacks
 * or computes wrongly into ops that it has. Ops left over run on the CPU within the same session.
 */
export function lowerForWebgpu(graph: Graph, choices: Choices): Graph {
  const plain = { ...choices, block: 0 as const };
  return lower(lower(graph, plain, first), plain, second);
}
