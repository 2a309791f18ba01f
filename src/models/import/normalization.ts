import { normalizations, type Normalization } from '../../data/preprocessing.js';
import type { Graph, Node } from '../../graph/graph.js';
import { numbersOf } from '../../tensor.js';

/** y = scale * x + shift, for each channel. */
interface Affine {
  readonly scale: readonly number[];
  readonly shift: readonly number[];
}

/** Ops that leave numbers as they are. */
const unchanged: ReadonlySet<string> = new Set(['Identity', 'Cast', 'Transpose']);

/**
 * The normalisation to put before a network that normalises its images itself: `bytes` (nothing, it
 * takes 0 to 255) or `unit` (x / 255), judged by where its first scales and shifts put such images.
 * Undefined when it has none, or puts neither anywhere near zero. `from`: the value that holds the
 * images as the network takes them.
 */
export function normalizationFor(graph: Graph, from = 'input'): Normalization | undefined {
  const { scale, shift } = affineOf(graph, from);
  if (scale.every((a) => a === 1) && shift.every((b) => b === 0)) return undefined;
  const fits = (largest: number): boolean =>
    scale.every((a, i) => {
      const width = Math.abs(a) * largest,
        centre = (a * largest) / 2 + shift[i]!;
      return width >= 0.5 && width <= 8 && Math.abs(centre) <= 1.5;
    });
  if (fits(255) || shift.every((b) => b < -80)) return normalizations.bytes;
  return fits(1) ? normalizations.unit : undefined;
}

/** What is done to the images before anything else. */
function affineOf(graph: Graph, from: string): Affine {
  let affine: Affine = { scale: [1, 1, 1], shift: [0, 0, 0] };
  let name = from;
  for (;;) {
    const readers: readonly Node[] = graph.nodes.filter((node) => node.inputs.includes(name));
    const [node] = readers;
    if (readers.length !== 1 || !node) return affine;
    const next = unchanged.has(node.op) ? affine : changed(affine, node, name, graph);
    if (!next) return affine;
    affine = next;
    name = node.outputs[0]!;
  }
}

function changed({ scale, shift }: Affine, node: Node, name: string, graph: Graph): Affine | undefined {
  const isFirst = node.inputs[0] === name;
  const other = graph.constants.get(node.inputs[isFirst ? 1 : 0] ?? '');
  if (node.inputs.length !== 2 || (other?.data.length !== 1 && other?.data.length !== 3)) return undefined;
  const given = numbersOf(other);
  const c = given.length === 1 ? [given[0]!, given[0]!, given[0]!] : given;
  const each = (values: readonly number[], f: (value: number, c: number) => number): number[] =>
    values.map((value, i) => f(value, c[i]!));
  switch (node.op) {
    case 'Mul':
      return { scale: each(scale, (a, k) => a * k), shift: each(shift, (b, k) => b * k) };
    case 'Div':
      return isFirst ? { scale: each(scale, (a, k) => a / k), shift: each(shift, (b, k) => b / k) } : undefined;
    case 'Add':
      return { scale, shift: each(shift, (b, k) => b + k) };
    case 'Sub':
      return isFirst
        ? { scale, shift: each(shift, (b, k) => b - k) }
        : { scale: scale.map((a) => -a), shift: each(shift, (b, k) => k - b) };
    default:
      return undefined;
  }
}
