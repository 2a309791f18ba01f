import { createHash } from 'node:crypto';
import type { Graph } from '../graph/graph.js';
import type { Model } from './model.js';

/**
 * Depends on what a graph computes, on its weights among `parameters`, and on what else is given; not on how constants
 * are called, whose names a file does not keep.
 */
export function hashOfGraph(
  { inputs, nodes, outputs, constants }: Pick<Graph, 'inputs' | 'nodes' | 'outputs' | 'constants'>,
  parameters: Model['parameters'],
  others: readonly unknown[],
): string {
  const hash = createHash('sha256');
  const put = (value: unknown): unknown => hash.update(`${JSON.stringify(value, asText)}\n`);
  /** Constants in the order in which they are read. */
  const read = new Map<string, number>();
  const reference = (name: string): string | number => {
    if (!constants.has(name)) return name;
    if (!read.has(name)) read.set(name, read.size);
    return read.get(name)!;
  };
  put([...others, inputs, nodes.map((node) => ({ ...node, inputs: node.inputs.map(reference) }))]);
  put(outputs.map(reference));
  const weights = inputs.flatMap(({ name }) => {
    const value = parameters.get(name);
    return value === undefined ? [] : [[name, value] as const];
  });
  const fixed = [...read].map(([name, number]) => [number, constants.get(name)!] as const);
  for (const [name, { dtype, dims, data }] of [...fixed, ...weights]) {
    put([name, dtype, dims]);
    hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return hash.digest('hex').slice(0, 32);
}

/** Depends on all that decides what a network says of an image. */
export const hashOfModel = ({ graph, parameters, preprocessing, labels, temperature, rejection }: Model): string =>
  hashOfGraph(graph, parameters, [preprocessing, labels, temperature, rejection]);

/** Numbers of a tensor among attributes, which JSON cannot always hold. */
const asText = (_: string, value: unknown): unknown =>
  ArrayBuffer.isView(value) ? Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64') : value;
