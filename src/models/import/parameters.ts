import type { Graph, Node, Value } from '../../graph/graph.js';
import type { Tensor } from '../../tensor.js';
import { modulePath, storedName } from './names.js';
import { inputStage, isFilledWith, judge, leafOf, type Role, type Use } from './roles.js';

export interface Promoted {
  readonly graph: Graph;
  readonly parameters: Map<string, Tensor>;
  readonly statistics: Set<string>;
  /** The file's name of each parameter. */
  readonly origins: Map<string, string>;
  /** Stored tensors that are taken for constants by what they hold, and why. */
  readonly kept: readonly string[];
}

/**
 * Turns the stored weights of a graph into named inputs. `weights` maps constants to the file's
 * names, `literals` are those of them that stood in the code. Names that exporters made up are
 * replaced by the path of the node that reads them and what they are there:
 * `layers.0.attn.qkv.weight`.
 */
export function promoteParameters(
  shared: Graph,
  stored: ReadonlyMap<string, string>,
  literals: ReadonlySet<string> = new Set(),
): Promoted {
  const { graph, weights, copies } = separateFills(shared, stored);
  const uses = usesOf(graph, weights);
  const early = inputStage(graph);
  const roles = new Map<string, Exclude<Role, 'constant'>>();
  const kept: string[] = [];
  for (const [name, readers] of uses) {
    const t = graph.constants.get(name)!,
      fileName = weights.get(name)!;
    const { role, because } = judge({ t, fileName, isLiteral: literals.has(name), uses: readers }, early);
    if (role !== 'constant') roles.set(name, role);
    else if (because !== undefined) kept.push(`${fileName} [${t.dims.join(', ')}] (${because})`);
  }
  const names = nameAll(graph, new Map([...weights].filter(([name]) => !copies.has(name))), uses, [...roles.keys()]);
  const parameters = new Map<string, Tensor>();
  const statistics = new Set<string>();
  const origins = new Map<string, string>();
  for (const [constant, role] of roles) {
    const name = names.get(constant)!;
    parameters.set(name, graph.constants.get(constant)!);
    origins.set(name, weights.get(constant)!);
    if (role === 'statistic') statistics.add(name);
  }
  return { graph: asInputs(graph, names), parameters, statistics, origins, kept };
}

/**
 * Exporters store equal tensors once, and fresh layers all have the same ones and zeros: each layer
 * gets its own. Tensors of other numbers that several layers read are one parameter, as in the
 * network.
 */
function separateFills(
  graph: Graph,
  weights: ReadonlyMap<string, string>,
): { graph: Graph; weights: ReadonlyMap<string, string>; copies: ReadonlySet<string> } {
  const constants = new Map(graph.constants),
    values = new Map(graph.values),
    names = new Map(weights);
  const seen = new Set<string>(),
    copies = new Set<string>();
  const nodes = graph.nodes.map((node) => {
    const inputs = node.inputs.map((name, index) => {
      const t = constants.get(name);
      if (!t || !weights.has(name) || leafOf({ node, index }) === undefined) return name;
      if (!isFilledWith(t, 0) && !isFilledWith(t, 1)) return name;
      if (!seen.has(name)) {
        seen.add(name);
        return name;
      }
      let own = `${name}_own`;
      for (let i = 2; values.has(own); i++) own = `${name}_own${i}`;
      constants.set(own, t);
      values.set(own, { ...values.get(name)!, name: own });
      names.set(own, weights.get(name)!);
      copies.add(own);
      return own;
    });
    return inputs.every((name, i) => name === node.inputs[i]) ? node : { ...node, inputs };
  });
  return { graph: { ...graph, nodes, constants, values }, weights: names, copies };
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

/** Whether the graphs that a model becomes part of call something of theirs so. */
const isReserved = (name: string): boolean =>
  /^(constant(_\w+)?|pixels|targets|teacher|thresholds|probabilities|features)$/.test(name);

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
    if (isReserved(name)) name = `parameter.${wanted}`;
    for (let i = 2; taken.has(name); i++) name = `${wanted}_${i}`;
    taken.add(name);
    names.set(constant, name);
  };
  // Names from the file first: those made up here give way.
  for (const constant of promoted) {
    const given = storedName(weights.get(constant) ?? '');
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
    leafOf({ node, index }) ??
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
