import type { Graph, Node, Value } from '../../graph/graph.js';
import { expandActivations } from '../../graph/passes.js';
import { createEmitter, type Emitter } from './emitter.js';
import { sized, type Sized } from './sized.js';
import type { Choices, Fusible, Lowering, LoweringContext, Lowerings } from './lowering.js';
import { toBlocked, toPlain } from './lowerings/blocked.js';
import { lowerings } from './lowerings/index.js';

interface Layouts {
  plain?: Value;
  blocked?: Sized;
}

/** The values of a graph that is being lowered, in the layouts that they were made or asked for in. */
class Values {
  readonly producers: ReadonlyMap<string, Node>;
  readonly fusible = new Map<string, Fusible>();
  private readonly current = new Map<string, Layouts>();
  private readonly counts = new Map<string, number>();

  constructor(
    private readonly graph: Graph,
    private readonly e: Emitter,
    private readonly choices: Choices,
  ) {
    this.producers = new Map(graph.nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)));
    for (const name of [...graph.outputs, ...graph.nodes.flatMap((node) => node.inputs)])
      this.counts.set(name, this.uses(name) + 1);
  }

  declared(name: string): Value {
    const value = this.graph.values.get(name);
    if (!value) throw new Error(`${this.graph.name}: no value named ${JSON.stringify(name)}`);
    return value;
  }

  layouts(name: string): Layouts {
    let entry = this.current.get(name);
    if (!entry) this.current.set(name, (entry = { plain: this.declared(name) }));
    return entry;
  }

  replace(name: string, layouts: Layouts): void {
    this.current.set(name, layouts);
  }

  plain(name: string): Value {
    const entry = this.layouts(name);
    return (entry.plain ??= toPlain(this.e, entry.blocked!, this.declared(name).shape[1] as number));
  }

  take(name: string, isBlocked: boolean, where: string): Sized {
    const entry = this.layouts(name);
    return isBlocked
      ? (entry.blocked ??= toBlocked(this.e, sized(entry.plain!, where), this.choices.block))
      : sized(this.plain(name), where);
  }

  uses(name: string): number {
    return this.counts.get(name) ?? 0;
  }

  constant(name: string): number | undefined {
    const t = this.graph.constants.get(name);
    return t?.data.length === 1 ? Number(t.data[0]) : undefined;
  }

  /** What a lowering of `node` gets. */
  contextOf(node: Node, outputs: readonly Value[]): LoweringContext {
    const nameOf = (index: number): string => node.inputs[index] ?? '';
    return {
      e: this.e,
      node,
      outputs,
      choices: this.choices,
      fusible: this.fusible,
      has: (index) => nameOf(index) !== '',
      declared: (index) => this.declared(nameOf(index)),
      input: (index) => this.take(nameOf(index), false, node.name),
      blocked: (index) => this.take(nameOf(index), true, node.name),
      isBlocked: (index) => nameOf(index) !== '' && this.layouts(nameOf(index)).blocked !== undefined,
      take: (name, isBlocked) => this.take(name, isBlocked, node.name),
      producer: (name) => this.producers.get(name),
      uses: (name) => this.uses(name),
      constant: (name) => this.constant(name),
      each: (body, name = nameOf(0)) => {
        const { blocked } = this.layouts(name);
        return [blocked ? { blocked: body(blocked, true) } : body(sized(this.plain(name), node.name), false)];
      },
    };
  }
}

/**
 * Replaces what onnxruntime cannot run, or runs slowly, by what it runs fast. Needs known sizes
 * only where a node is replaced.
 */
export function lower(given: Graph, choices: Choices, table: Lowerings = lowerings): Graph {
  const graph = expandActivations(given);
  const e = createEmitter(graph);
  const values = new Values(graph, e, choices),
    results = new Set(graph.outputs);
  for (const node of graph.nodes) {
    e.at(node.name);
    const outputs = node.outputs.map((name) =>
      name === '' ? { name, dtype: 'float32' as const, shape: [] } : values.declared(name),
    );
    const context = values.contextOf(node, outputs);
    let replaced: ReturnType<Lowering>;
    for (const rule of table.get(node.op) ?? []) if ((replaced = rule(context))) break;
    if (!replaced) {
      const inputs = node.inputs.map((name) => (name === '' ? '' : values.plain(name).name));
      e.copy(node, inputs, outputs);
      continue;
    }
    node.outputs.forEach((name, index) => {
      const result = replaced[index];
      if (!result) return;
      values.replace(name, 'blocked' in result ? { blocked: result.blocked } : { plain: result });
      if (!results.has(name)) return;
      const identity: Node = {
        name: `${node.name}/output ${index}`,
        op: 'Identity',
        domain: '',
        inputs: [],
        outputs: [name],
        attributes: {},
      };
      e.copy(identity, [values.plain(name).name], [outputs[index]!]);
    });
  }
  return e.build(graph.inputs, graph.outputs);
}
