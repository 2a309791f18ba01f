import type { Graph } from '../../graph/graph.js';
import type { Connection } from './connection.js';
import { filterGradientMethods, type Convolution, type FilterGradientMethod } from './lowerings/convolution.js';

/** What depends on the machine: recorded with a run, so that a resumed one computes the same bits. */
export interface Choices {
  readonly recorded: Readonly<Record<string, unknown>>;
  /** Channels per block of onnxruntime's blocked convolutions (16 with AVX-512, 8 with AVX), or 0 where there are none. */
  readonly block: 0 | 8 | 16;
  /** How the filter gradient of a convolution is computed. */
  filterGradient(c: Convolution): FilterGradientMethod;
}

export type OpenProgram = (graph: Graph, state: Readonly<Record<string, null>>, inference: boolean) => Promise<number>;

/** Choices of an earlier run, completed by what is found here. */
export async function createChoices(earlier: Readonly<Record<string, unknown>>, _connection: Connection, _open: OpenProgram): Promise<Choices> {
  const recorded: Record<string, unknown> = { ...earlier };
  const forced = filterGradientMethods.find((method) => method === earlier['filterGradient']);
  return {
    recorded,
    block: 0,
    filterGradient: () => forced ?? 'samples',
  };
}
