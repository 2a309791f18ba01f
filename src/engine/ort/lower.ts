import type { Graph, Node, Value } from '../../graph/graph.js';
import type { Choices } from './choices.js';
import { createEmitter, sized, type Emitter, type Sized } from './emitter.js';
import { lowerings } from './lowerings/index.js';
import { toBlocked, toPlain, type AffineOptions } from './lowerings/blocked.js';

/**
 * A result in onnxruntime's blocked layout (lowerings/blocked.ts); it is put in plain order when
 * someone wants it so.
 */
export interface InBlocks {
  readonly blocked: Sized;
}

/**
 * What a lowering gets: the node, its inputs in either layout, and the emitter to write nodes with.
 */
export interface LoweringContext {
  readonly e: Emitter;
  readonly node: Node;
  /** The node's outputs as declared in the graph. */
  readonly outputs: readonly Value[];
  readonly choices: Choices;
  has(index: number): boolean;
  /** Input `index` as declared: its shape may be looked at without asking for a layout. */
  declared(index: number): Value;
  /** Input `index` in plain order; its sizes must be known. */
  input(index: number): Sized;
  /** Input `index` in the blocked layout. */
  blocked(index: number): Sized;
  /** Whether input `index` is at hand in the blocked layout. */
  isBlocked(index: number): boolean;
  /** The node that made a value of the graph. */
  producer(name: string): Node | undefined;
  /** The value of the graph that is the product of two others, if one is. */
  product(a: string, b: string): string | undefined;
  /** Whether a value of the graph is at hand in the blocked layout. */
  hasBlocked(name: string): boolean;
  /** A value of the graph in one of the layouts; its sizes must be known. */
  take(name: string, isBlocked: boolean): Sized;
  /** The number behind a constant of one element. */
  constant(name: string): number | undefined;
  /**
   * Applies an elementwise function to a value of the graph (default: input 0) in the layout that
   * it is at hand in.
   */
  each(body: (x: Sized, isBlocked: boolean) => Sized, name?: string): readonly (Value | InBlocks)[];
  /** How often a value of the graph is read, as an output too. */
  uses(name: string): number;
  /**
   * Ways to compute a blocked value together with what follows it, by its name in the lowered
   * graph.
   */
  readonly fusible: Map<string, Fusible>;
}

/**
 * Computes a blocked value with an addition or an activation in the same pass; a pass without them
 * is then dropped.
 */
export type Fusible = (options: AffineOptions) => Sized;

/** Writes other nodes in place of one; one value per output. Undefined when it does not apply. */
export type Lowering = (context: LoweringContext) => readonly (Value | InBlocks | undefined)[] | undefined;

interface Layouts {
  plain?: Value;
  blocked?: Sized;
}

/** By op the rules to try in order; ops that none applies to go to onnxruntime as they are. */
export type Lowerings = ReadonlyMap<string, readonly Lowering[]>;

/**
 * Replaces what onnxruntime cannot run, or runs slowly, by what it runs fast. Needs known sizes
 * only where a node is replaced.
 */
export function lower(graph: Graph, choices: Choices, table: Lowerings = lowerings): Graph {
  const e = createEmitter(graph);
  const current = new Map<string, Layouts>();
  const producers = new Map(graph.nodes.flatMap((node) => node.outputs.map((name) => [name, node] as const)));
  const fusible = new Map<string, Fusible>();
  const uses = new Map<string, number>();
  for (const name of [...graph.outputs, ...graph.nodes.flatMap((node) => node.inputs)])
    uses.set(name, (uses.get(name) ?? 0) + 1);
  const results = new Set(graph.outputs);
  const products = new Map(
    graph.nodes.filter(({ op }) => op === 'Mul').map(({ inputs, outputs }) => [inputs.join(), outputs[0]!]),
  );
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
      product: (a, b) => products.get([a, b].join()) ?? products.get([b, a].join()),
      hasBlocked: (name) => layouts(name).blocked !== undefined,
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
