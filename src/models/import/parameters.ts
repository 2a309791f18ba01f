import type { Graph, Node, Value } from '../../graph/graph.js';
import type { Tensor } from '../../tensor.js';
import { modulePath, storedName } from './names.js';

/**
 * Which stored floats are parameters:
 * - what stands where an op has its weights: Conv, ConvTranspose, Gemm, BatchNormalization (mean
 * and variance: statistics),
 *   LayerNormalization, InstanceNormalization, PRelu, the matrix of a MatMul;
 * - every other tensor of more than one number that the graph reads (added, multiplied, joined,
 * looked up: biases, scales, tokens,
 *   position tables), and a single one that the file names like a parameter (`a.b`) and that is
 *     added or multiplied;
 * - but not: what normalises the input before the first layer; attention masks (nothing but 0 and
 * one value of at most -10); operands
 *   that are settings (exponents, bounds, scales of Resize, conditions); the left, batched operand
 *     of a MatMul (a table of coordinates).
 * All else stays a constant.
 */
type Role = 'parameter' | 'statistic' | 'constant';

interface Use {
  readonly node: Node;
  readonly index: number;
}

/** What the second and further operands of these ops are called. */
const leaves: Readonly<Record<string, readonly string[]>> = {
  Conv: ['', 'weight', 'bias'],
  ConvTranspose: ['', 'weight', 'bias'],
  Gemm: ['', 'weight', 'bias'],
  BatchNormalization: ['', 'weight', 'bias', 'running_mean', 'running_var'],
  LayerNormalization: ['', 'weight', 'bias'],
  InstanceNormalization: ['', 'weight', 'bias'],
  PRelu: ['', 'weight'],
};

const settings: ReadonlySet<string> = new Set([
  'Clip',
  'Dropout',
  'Equal',
  'Greater',
  'GreaterOrEqual',
  'Less',
  'LessOrEqual',
  'Mod',
  'OneHot',
  'Pad',
  'Pow',
  'Range',
  'Resize',
  'Shape',
  'Size',
  'TopK',
  'Min',
  'Max',
  'Floor',
  'Ceil',
  'Round',
  'QuantizeLinear',
  'DequantizeLinear',
  'ConstantOfShape',
]);

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

export interface Promoted {
  readonly graph: Graph;
  readonly parameters: Map<string, Tensor>;
  readonly statistics: Set<string>;
  /** The file's name of each parameter. */
  readonly origins: Map<string, string>;
}

/**
 * Turns the stored weights of a graph into named inputs. `weights` maps constants to the file's
 * names. Names that exporters made up are replaced by the path of the node that reads them and what
 * they are there: `layers.0.attn.qkv.weight`.
 */
export function promoteParameters(graph: Graph, weights: ReadonlyMap<string, string>): Promoted {
  const uses = usesOf(graph, weights);
  const early = inputStage(graph);
  const roles = new Map<string, Exclude<Role, 'constant'>>();
  for (const [name, readers] of uses) {
    const role = roleOf(graph.constants.get(name)!, weights.get(name)!, readers, early);
    if (role !== 'constant') roles.set(name, role);
  }
  const names = nameAll(graph, weights, uses, [...roles.keys()]);
  const parameters = new Map<string, Tensor>();
  const statistics = new Set<string>();
  const origins = new Map<string, string>();
  for (const [constant, role] of roles) {
    const name = names.get(constant)!;
    parameters.set(name, graph.constants.get(constant)!);
    origins.set(name, weights.get(constant)!);
    if (role === 'statistic') statistics.add(name);
  }
  return { graph: asInputs(graph, names), parameters, statistics, origins };
}

function usesOf(graph: Graph, weights: ReadonlyMap<string, string>): Map<string, Use[]> {
  const uses = new Map<string, Use[]>();
  for (const node of graph.nodes) {
    for (const [index, name] of node.inputs.entries()) {
      if (!weights.has(name) || !graph.constants.has(name)) continue;
      const list = uses.get(name) ?? [];
      list.push({ node, index });
      uses.set(name, list);
    }
  }
  return uses;
}

/** Values that are the input, moved and scaled, before the first layer. */
function inputStage(graph: Graph): ReadonlySet<string> {
  const stage = new Set(['input']);
  for (const node of graph.nodes) {
    if (!layers.has(node.op) && node.inputs.some((name) => stage.has(name)))
      for (const output of node.outputs) stage.add(output);
  }
  return stage;
}

function roleOf(t: Tensor, fileName: string, uses: readonly Use[], early: ReadonlySet<string>): Role {
  const leaf = uses.map(({ node, index }) => leaves[node.op]?.[index]).find(Boolean);
  if (leaf?.startsWith('running_')) return 'statistic';
  if (leaf) return 'parameter';
  if (t.data.length <= 1) {
    const named = fileName.includes('.') && storedName(fileName) === fileName;
    return named &&
      uses.every(({ node }) => (node.op === 'Mul' || node.op === 'Add') && !node.inputs.some((name) => early.has(name)))
      ? 'parameter'
      : 'constant';
  }
  const counts = uses.some(
    ({ node, index }) =>
      !settings.has(node.op) &&
      !(node.op === 'MatMul' && index === 0 && t.dims.length > 2) &&
      !(node.op === 'Where' && index === 0) &&
      !node.inputs.some((name) => early.has(name)),
  );
  return counts && !isMask(t) ? 'parameter' : 'constant';
}

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

function nameAll(
  graph: Graph,
  weights: ReadonlyMap<string, string>,
  uses: ReadonlyMap<string, readonly Use[]>,
  promoted: readonly string[],
): Map<string, string> {
  const isPromoted = new Set(promoted);
  const taken = new Set(['input', 'logits']);
  for (const name of graph.values.keys()) if (!isPromoted.has(name)) taken.add(name);
  const names = new Map<string, string>();
  const claim = (constant: string, wanted: string): void => {
    let name = wanted;
    for (let i = 2; taken.has(name); i++) name = `${wanted}_${i}`;
    taken.add(name);
    names.set(constant, name);
  };
  // Names from the file first: those made up here give way.
  for (const constant of promoted) {
    const given = storedName(weights.get(constant)!);
    if (given !== undefined) claim(constant, given);
  }
  const consumers = new Map<string, Node[]>();
  for (const node of graph.nodes)
    for (const input of node.inputs) consumers.set(input, [...(consumers.get(input) ?? []), node]);
  for (const constant of promoted) {
    if (!names.has(constant)) claim(constant, madeUpName(uses.get(constant)![0]!, names, consumers));
  }
  return names;
}

function madeUpName(
  { node, index }: Use,
  names: ReadonlyMap<string, string>,
  consumers: ReadonlyMap<string, readonly Node[]>,
): string {
  const leaf =
    leaves[node.op]?.[index] ??
    (node.op === 'Add' || node.op === 'Sub' ? 'bias' : node.op === 'Mul' ? 'scale' : 'weight');
  // A sibling with a name of its own: another operand of the node, or of the Add that follows a
  // MatMul.
  const following =
    node.op === 'MatMul' ? (consumers.get(node.outputs[0]!) ?? []).filter((next) => next.op === 'Add') : [];
  for (const input of [...node.inputs, ...following.flatMap((next) => next.inputs)]) {
    const sibling = /^(.*[._])(weight|bias|running_mean|running_var)$/.exec(names.get(input) ?? '');
    if (sibling && sibling[2] !== leaf) return `${sibling[1]}${leaf}`;
  }
  const path = modulePath(node.name);
  return path === '' ? `${node.op.toLowerCase()}.${leaf}` : `${path}.${leaf}`;
}

/** The graph with constants made inputs under new names. */
function asInputs(graph: Graph, names: ReadonlyMap<string, string>): Graph {
  const inputs: Value[] = [...graph.inputs];
  for (const [constant, name] of names) inputs.push({ ...graph.values.get(constant)!, name });
  const promoted = new Set(names.keys());
  return {
    ...renameValues(graph, names),
    inputs,
    constants: new Map([...graph.constants].filter(([name]) => !promoted.has(name))),
  };
}

/** The graph with some values called otherwise. The new names must be free. */
export function renameValues(graph: Graph, names: ReadonlyMap<string, string>): Graph {
  const renamed = (name: string): string => names.get(name) ?? name;
  const value = (v: Value): Value => (names.has(v.name) ? { ...v, name: renamed(v.name) } : v);
  return {
    ...graph,
    inputs: graph.inputs.map(value),
    outputs: graph.outputs.map(renamed),
    nodes: graph.nodes.map((node) => ({
      ...node,
      inputs: node.inputs.map(renamed),
      outputs: node.outputs.map(renamed),
    })),
    constants: new Map([...graph.constants].map(([name, t]) => [renamed(name), t])),
    values: new Map([...graph.values.values()].map(value).map((v) => [v.name, v])),
  };
}
