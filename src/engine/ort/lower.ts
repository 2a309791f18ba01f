import type { Graph, Value } from '../../graph/graph.js';
import { expandActivations } from '../../graph/passes.js';
import { createEmitter } from './emitter.js';
import { sized, type Sized } from './sized.js';
import type { Choices, Fusible, Lowering, LoweringContext, Lowerings } from './lowering.js';
import { toBlocked, toPlain } from './lowerings/blocked.js';
import { lowerings } from './lowerings/index.js';

interface Layouts {
  plain?: Value;
  blocked?: Sized;
}

/**
 * Replaces what onnxruntime cannot run, or runs slowly, by what it runs fast. Needs known sizes
 * only where a node is replaced.
 */
export function lower(given: Graph, choices: Choices, table: Lowerings = lowerings): Graph {
  const graph = expandActivations(given);
  const e = createEmitter(graph);
  const current = new Map<string, Layouts>();
  const producers = new Map(graph.nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)));
  const fusible = new Map<string, Fusible>();
  const uses = new Map<string, number>();
  for (const name of [...graph.outputs, ...graph.nodes.flatMap((node) => node.inputs)])
    uses.set(name, (uses.get(name) ?? 0) + 1);
  const results = new Set(graph.outputs);
  const declared = (name: string): Value => {
    const value = graph.values.get(name);
    if (!value) throw new Error(`${graph.name}: no value named ${JSON.stringify(name)}`);
    return value;
  };
  const layouts = (name: string): Layouts => {
    let entry = current.get(name);
    if (!entry) current.set(name, (entry = { plain: declared(name) }));
    return entry;
  };
  const plain = (name: string): Value => {
    const entry = layouts(name);
    return (entry.plain ??= toPlain(e, entry.blocked!, declared(name).shape[1] as number));
  };

  const take = (name: string, isBlocked: boolean, where: string): Sized => {
    const entry = layouts(name);
    return isBlocked
      ? (entry.blocked ??= toBlocked(e, sized(entry.plain!, where), choices.block))
      : sized(plain(name), where);
  };

  for (const node of graph.nodes) {
    e.at(node.name);
    const outputs = node.outputs.map((name) =>
      name === '' ? { name, dtype: 'float32' as const, shape: [] } : declared(name),
    );
    const nameOf = (index: number): string => node.inputs[index] ?? '';
    const context: LoweringContext = {
      e,
      node,
      outputs,
      choices,
      fusible,
      has: (index) => nameOf(index) !== '',
      declared: (index) => declared(nameOf(index)),
      input: (index) => take(nameOf(index), false, node.name),
      blocked: (index) => take(nameOf(index), true, node.name),
      isBlocked: (index) => nameOf(index) !== '' && layouts(nameOf(index)).blocked !== undefined,
      take: (name, isBlocked) => take(name, isBlocked, node.name),
      producer: (name) => producers.get(name),
      uses: (name) => uses.get(name) ?? 0,
      constant: (name) => {
        const t = graph.constants.get(name);
        return t?.data.length === 1 ? Number(t.data[0]) : undefined;
      },
      each: (body, name = nameOf(0)) => {
        const { blocked } = layouts(name);
        return [blocked ? { blocked: body(blocked, true) } : body(sized(plain(name), node.name), false)];
      },
    };
    let replaced: ReturnType<Lowering>;
    for (const rule of table.get(node.op) ?? []) if ((replaced = rule(context))) break;
    if (!replaced) {
      e.copy(
        node,
        node.inputs.map((name) => (name === '' ? '' : plain(name).name)),
        outputs,
      );
      continue;
    }
    node.outputs.forEach((name, index) => {
      const result = replaced[index];
      if (!result) return;
      current.set(name, 'blocked' in result ? { blocked: result.blocked } : { plain: result });
      if (!results.has(name)) return;
      e.copy(
        {
          name: `${node.name}/output ${index}`,
          op: 'Identity',
          domain: '',
          inputs: [],
          outputs: [name],
          attributes: {},
        },
        [plain(name).name],
        [outputs[index]!],
      );
    });
  }
  return e.build(graph.inputs, graph.outputs);
}
