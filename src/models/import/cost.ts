import { PupilError } from '../../errors.js';
import type { Graph } from '../../graph/graph.js';
import { countFlops } from '../flops.js';

/** Operations for one image: a minute or more for the first, most of an hour for the second, on two cores. */
const slow = 3e12,
  endless = 1e14;

const billions = (count: number): string => Math.round(count / 1e9).toLocaleString('en-US');

/**
 * Refuses a network that would compute for most of an hour on one image (`unsupported`), before anything runs;
 * `warn`: one that takes long is named. How much memory a value takes is bounded where it is added (`Emitter`).
 */
export function assertBearable(graph: Graph, file: string, warn?: (message: string) => void): void {
  const operations = countFlops(graph);
  const takes = `${file}: takes ${billions(operations)} billion operations for one image`;
  const smaller = 'give it smaller images with `size`, or use another network';
  if (operations >= endless)
    throw new PupilError('unsupported', `${takes}, more than the ${billions(endless)} that are run; ${smaller}`);
  if (operations >= slow) warn?.(`${takes}, so it is slow; ${smaller}`);
}
