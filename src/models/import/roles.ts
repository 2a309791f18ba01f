import type { Graph, Node } from '../../graph/graph.js';
import { sizeOf, type Tensor } from '../../tensor.js';
import { isNamed } from './names.js';

/** What a stored tensor of floats is: trained, kept by normalisation, or neither. */
export type Role = 'parameter' | 'statistic' | 'constant';

/** An operand of a node. */
export interface Use {
  readonly node: Node;
  readonly index: number;
}

/** What the operands of these ops are called where they have their weights. */
export const leaves: Readonly<Record<string, readonly string[]>> = {
  Conv: ['', 'weight', 'bias'],
  ConvTranspose: ['', 'weight', 'bias'],
  Gemm: ['', 'weight', 'bias'],
  BatchNormalization: ['', 'weight', 'bias', 'running_mean', 'running_var'],
  LayerNormalization: ['', 'weight', 'bias'],
  InstanceNormalization: ['', 'weight', 'bias'],
  PRelu: ['', 'weight'],
};

export const leafOf = ({ node, index }: Use): string | undefined => leaves[node.op]?.[index] || undefined;

/** Ops whose operands, from this one on, are settings: bounds, sizes, conditions. */
const settings: Readonly<Record<string, number>> = {
  Clip: 1,
  ConstantOfShape: 0,
  DequantizeLinear: 1,
  Dropout: 1,
  Equal: 0,
  Greater: 0,
  GreaterOrEqual: 0,
  Less: 0,
  LessOrEqual: 0,
  Max: 0,
  Min: 0,
  Mod: 0,
  OneHot: 0,
  Pad: 1,
  QuantizeLinear: 1,
  Range: 0,
  Resize: 1,
  Shape: 0,
  Size: 0,
  TopK: 0,
};

/** Ops after which a value is no longer just the (normalised) image. */
const layers: ReadonlySet<string> = new Set([
  'Conv',
  'ConvTranspose',
  'MatMul',
  'Gemm',
  'BatchNormalization',
  'LayerNormalization',
  'Einsum',
  'Shape',
]);

/**
 * Values that are the input before the first layer: moved, scaled, or multiplied with an orthonormal
 * table (as a cosine transform is); and what is computed from stored numbers for these alone.
 */
export function inputStage(graph: Graph): ReadonlySet<string> {
  const stage = new Set(['input']),
    makers = new Map<string, Node>(),
    behind = new Set<string>();
  const table = (name: string): Tensor | undefined => {
    const maker = makers.get(name);
    return graph.constants.get(maker?.op === 'Transpose' ? maker.inputs[0]! : name);
  };
  const isLayer = ({ op, inputs }: Node): boolean =>
    layers.has(op) && !(op === 'MatMul' && inputs.some((name) => isOrthonormal(table(name))));
  const isInStage = ({ outputs }: Node): boolean => outputs.some((name) => stage.has(name));
  for (const node of graph.nodes) {
    const isOfImages = node.inputs.some((name) => stage.has(name));
    const isBehind =
      node.inputs.some((name) => behind.has(name)) || (isOfImages && isLayer(node) && node.op !== 'Shape');
    for (const output of node.outputs) {
      makers.set(output, node);
      if (isBehind) behind.add(output);
      else if (isOfImages && !isLayer(node)) stage.add(output);
    }
  }
  const readLater = new Set(graph.outputs);
  for (const node of graph.nodes.toReversed()) {
    if (isInStage(node)) continue;
    if (node.outputs.some((name) => readLater.has(name) || behind.has(name)))
      for (const name of node.inputs) readLater.add(name);
    else for (const name of node.outputs) stage.add(name);
  }
  return stage;
}

/** The role of a stored tensor, and why where the file itself does not tell. */
export interface Judgement {
  readonly role: Role;
  /** Such as `a table that multiplies`. */
  readonly because?: string;
}

/** A tensor of floats in a file. */
export interface Stored {
  readonly t: Tensor;
  /** The file's name of it. */
  readonly fileName: string;
  /** Whether it is a Constant node, as exporters write numbers in the code. */
  readonly isLiteral: boolean;
  readonly uses: readonly Use[];
}

/**
 * Which stored floats are parameters, by where they stand and what they hold:
 * - what stands where an op has its weights is one (`leaves`; mean and variance are statistics);
 *   but not the ones and zeros that an exporter put there for want of a weight, nor one filter for
 *   all channels (blurring);
 * - what is added, multiplied, joined, looked up or an exponent is one: biases, scales, tokens,
 *   position tables; a single number when the file names it;
 * - but not: numbers in the code; what normalises or turns the input before the first layer;
 *   attention masks; operands that are settings (bounds, sizes, conditions); what stands where data
 *   does in a product; tables that multiply (rotary positions) and sines and cosines that are added.
 */
export function judge({ t, fileName, isLiteral, uses }: Stored, early: ReadonlySet<string>): Judgement {
  const named = isNamed(fileName);
  const leaf = uses.map(leafOf).find(Boolean);
  if (leaf?.startsWith('running_')) return { role: 'statistic' };
  if (leaf) return leafJudgement(t, named, uses, leaf);
  if (isLiteral && !named) return { role: 'constant' };
  const isLate = ({ node }: Use): boolean => !node.outputs.some((name) => early.has(name));
  if (isOrthonormal(t) && !uses.some(isLate))
    return { role: 'constant', because: 'an orthonormal table before the first layer' };
  const counted = uses.filter((use) => !isSetting(use, t, named) && isLate(use));
  if (counted.length === 0 || isMask(t)) return { role: 'constant' };
  // A number in the code is a constant that no one named.
  if (t.data.length <= 1) return { role: named ? 'parameter' : 'constant' };
  const isTable = t.dims.filter((dim) => dim !== 1).length > 1;
  if (isTable && counted.every(({ node }) => node.op === 'Mul' || node.op === 'Div'))
    return { role: 'constant', because: 'a table that multiplies' };
  if (isTable && isSinusoid(t)) return { role: 'constant', because: 'sines and cosines' };
  return { role: 'parameter' };
}

function leafJudgement(t: Tensor, named: boolean, uses: readonly Use[], leaf: string): Judgement {
  const isNormalisation = uses.every(({ node }) => node.op.endsWith('Normalization'));
  if (isNormalisation && !named && isFilledWith(t, leaf === 'weight' ? 1 : 0)) return { role: 'constant' };
  if (uses.some(({ node }) => node.op === 'Conv' && isBlur(t, Number(node.attributes['group'] ?? 1))))
    return { role: 'constant', because: 'one filter for all channels' };
  return { role: 'parameter' };
}

function isSetting({ node, index }: Use, t: Tensor, named: boolean): boolean {
  if (index >= (settings[node.op] ?? Infinity)) return true;
  // Masks of windows are written piece by piece into what has no name.
  if (node.op.startsWith('Scatter')) return !named;
  // What is subtracted without a name is the mean of a normalisation that is written out.
  if (node.op === 'Sub' && index === 1) return !named;
  // The exponent of a pooling is named, that of a square is not.
  if (node.op === 'Pow') return index === 1 && (!named || isPlainExponent(t));
  // Queries that are learned are named; coordinates may be, but are few in a row.
  if (node.op === 'MatMul' || node.op === 'Gemm' || node.op === 'Conv')
    return index === 0 && !(named && t.dims.at(-1)! > 4);
  return node.op === 'Where' && index === 0;
}

/** Squares, roots and reciprocals are no parameters, whatever they are called. */
const isPlainExponent = (t: Tensor): boolean => [0, 0.5, 1, 2, -0.5, -1, -2].some((x) => isFilledWith(t, x));

/** Whether all numbers are this one. */
export const isFilledWith = (t: Tensor, number: number): boolean => (t.data as Float32Array).every((x) => x === number);

/** Only zeros and one very negative number. */
function isMask(t: Tensor): boolean {
  let low = 0;
  for (const x of t.data as Float32Array) {
    if (x === 0) continue;
    if (!(x <= -10) || (low !== 0 && x !== low)) return false;
    low = x;
  }
  return low !== 0;
}

/** Whether the rows of a square table stand at right angles to each other and have length 1. */
function isOrthonormal(t: Tensor | undefined): boolean {
  const [n = 0, columns] = t?.dims ?? [];
  if (t?.dtype !== 'float32' || t.dims.length !== 2 || n < 2 || columns !== n) return false;
  const rows = Array.from({ length: n }, (_, i) => (t.data as Float32Array).subarray(i * n, (i + 1) * n));
  return rows.every((a, i) =>
    rows.slice(0, i + 1).every((b, j) => {
      const product = a.reduce((sum, x, k) => sum + x * b[k]!, 0);
      return Math.abs(product - (i === j ? 1 : 0)) < 1e-3;
    }),
  );
}

/** Filters of a depthwise convolution that are all the same and whose numbers sum to one. */
function isBlur(t: Tensor, groups: number): boolean {
  const [filters = 0, inputs, ...kernel] = t.dims;
  const size = sizeOf(kernel);
  if (filters < 2 || groups !== filters || inputs !== 1 || size < 2) return false;
  const data = t.data as Float32Array;
  const sum = data.subarray(0, size).reduce((a, b) => a + b, 0);
  return Math.abs(sum - 1) < 1e-3 && data.every((x, i) => x === data[i % size]);
}

/**
 * Whether in each row every number has a partner with which it is the sine and cosine of one angle.
 * The first row, of a class token, may be zeros.
 */
function isSinusoid(t: Tensor): boolean {
  const width = t.dims.at(-1)!,
    all = t.data as Float32Array,
    data = all.subarray(0, width).every((x) => x === 0) ? all.subarray(width) : all;
  const isPaired = (partner: (column: number) => number): boolean =>
    data.every((x, i) => {
      const column = i % width,
        y = data[i - column + partner(column)]!;
      return Math.abs(x * x + y * y - 1) < 1e-3;
    });
  const byHalves = (column: number): number => (column + width / 2) % width;
  const neighbours = (column: number): number => column ^ 1;
  const byQuarters = (column: number): number => {
    const half = column < width / 2 ? 0 : width / 2;
    return half + ((column - half + width / 4) % (width / 2));
  };
  return (
    width % 4 === 0 &&
    data.length > 0 &&
    data.every((x) => Math.abs(x) <= 1.001) &&
    [byHalves, neighbours, byQuarters].some(isPaired)
  );
}
