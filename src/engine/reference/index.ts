import { invariant } from '../../errors.js';
import { evaluateGraph } from '../../graph/evaluate.js';
import type { Graph } from '../../graph/graph.js';
import type { Tensor } from '../../tensor.js';
import type { CompileOptions, Engine, EngineOptions, Program } from '../engine.js';

export interface ReferenceOptions extends EngineOptions {
  /**
   * Computes and keeps all floats as float64, for gradients and updates to compare with (default
   * false).
   */
  readonly float64?: boolean;
}

const copy = ({ dtype, dims, data }: Tensor): Tensor => ({ dtype, dims: [...dims], data: data.slice() });

/**
 * The engine in plain TypeScript: what every op means, slowly. For tests, and where a result of
 * onnxruntime is in doubt.
 */
export function createReferenceEngine(options: ReferenceOptions = {}): Engine {
  const store = new Map<string, Tensor>();
  const get = (name: string): Tensor => {
    const entry = store.get(name);
    invariant(entry, `the state has no entry ${JSON.stringify(name)}`);
    return entry;
  };
  const compile = (graph: Graph, { state = {} }: CompileOptions = {}): Program => {
    for (const [input, output] of Object.entries(state)) {
      invariant(
        graph.inputs.some(({ name }) => name === input),
        `${graph.name}: state ${JSON.stringify(input)} is no input of the graph`,
      );
      invariant(
        output === null || graph.outputs.includes(output),
        `${graph.name}: ${JSON.stringify(output)}, the next ${input}, is no output of the graph`,
      );
    }
    const next = new Map(
      Object.entries(state).flatMap(([input, output]) => (output === null ? [] : [[output, input] as const])),
    );
    invariant(
      next.size === Object.values(state).filter((output) => output !== null).length,
      `${graph.name}: an output would replace two entries of the state`,
    );
    return {
      run: async (feeds) => {
        const kept = Object.fromEntries(Object.keys(state).map((name) => [name, get(name)]));
        const results = await Promise.resolve().then(() =>
          evaluateGraph(graph, { ...feeds, ...kept }, { float64: options.float64 ?? false }),
        );
        for (const [output, input] of next) store.set(input, results[output]!);
        return Object.fromEntries(Object.entries(results).filter(([name]) => !next.has(name)));
      },
      close: () => Promise.resolve(),
    };
  };
  return {
    name: 'reference',
    description: `reference, plain TypeScript, ${options.float64 ? 'float64' : 'float32'}`,
    precision: 'f32',
    choices: {},
    compile: async (graph, compileOptions) => compile(graph, compileOptions),
    write: async (state) => {
      for (const [name, entry] of state) store.set(name, copy(entry));
    },
    read: async (names) => new Map((names ?? [...store.keys()]).map((name) => [name, copy(get(name))])),
    lend: () => Promise.resolve(new Map()),
    remove: async (names) => {
      for (const name of names) store.delete(name);
    },
    close: async () => store.clear(),
  };
}
