import type { Graph } from '../../graph/graph.js';
import { encodeGraph } from '../../onnx/index.js';
import type { Tensor } from '../../tensor.js';
import type { CompileOptions, Engine, EngineOptions, Program } from '../engine.js';
import { createChoices } from './choices.js';
import { connect, type Connection } from './connection.js';
import { lower } from './lower.js';
import type { SessionSettings } from './protocol.js';

export interface OrtOptions extends EngineOptions {
  /** onnxruntime's names of execution providers, tried in order (default cpu). */
  readonly providers?: readonly string[];
}

/**
 * The engine on onnxruntime-node: all sessions and the state live in one worker thread, so the caller's event loop stays free.
 * Throws `unsupported` where onnxruntime-node does not exist.
 */
export async function createOrtEngine(options: OrtOptions = {}): Promise<Engine> {
  const connection = await connect();
  const providers = options.providers ?? ['cpu'];
  const settings = (inference: boolean): SessionSettings => ({
    threads: options.threads, providers, profile: options.profile, optimization: inference ? 'all' : 'extended',
  });
  let programs = 0;
  const open = async (graph: Graph, state: Readonly<Record<string, string | null>>, inference: boolean): Promise<number> => {
    const program = programs++;
    const model = encodeGraph(graph);
    await connection.call({ kind: 'open', program, name: graph.name, model, state, settings: settings(inference) }, [model.buffer]);
    return program;
  };
  const choices = await createChoices(options.choices ?? {}, connection, open).catch(async (error: unknown) => {
    await connection.close();
    throw error;
  });

  return {
    name: 'ort',
    description: `onnxruntime ${connection.version}, ${providers.join(' then ')}, ${describeThreads(options.threads)}`,
    choices: choices.recorded,
    async compile(graph: Graph, compileOptions: CompileOptions = {}): Promise<Program> {
      const { state = {}, inference = false } = compileOptions;
      checkState(graph, state);
      const lowered = lower(graph, choices);
      return programOf(connection, await open(lowered, state, inference));
    },
    write: (state) => connection.call({ kind: 'write', state }),
    read: (names) => connection.call({ kind: 'read', names }),
    remove: (names) => connection.call({ kind: 'remove', names }),
    close: () => connection.close(),
  };
}

const describeThreads = (threads: number | undefined): string =>
  threads === undefined ? 'a thread per core' : `${threads} ${threads === 1 ? 'thread' : 'threads'}`;

/** Every name must exist, and no output may replace two entries. */
function checkState(graph: Graph, state: Readonly<Record<string, string | null>>): void {
  const inputs = new Set(graph.inputs.map((input) => input.name));
  const outputs = new Set(graph.outputs);
  const used = new Set<string>();
  for (const [input, output] of Object.entries(state)) {
    if (!inputs.has(input)) throw new Error(`${graph.name}: state ${JSON.stringify(input)} is no input of the graph`);
    if (output === null) continue;
    if (!outputs.has(output)) throw new Error(`${graph.name}: ${JSON.stringify(output)}, the next ${input}, is no output of the graph`);
    if (used.has(output)) throw new Error(`${graph.name}: the output ${JSON.stringify(output)} would replace two entries of the state`);
    used.add(output);
  }
}

function programOf(connection: Connection, program: number): Program {
  let closed: Promise<void> | undefined;
  return {
    run(feeds, options = {}) {
      const transfer = options.transfer ? wholeBuffers(Object.values(feeds)) : [];
      return connection.call<Record<string, Tensor>>({ kind: 'run', program, feeds }, transfer);
    },
    close() {
      closed ??= connection.call<undefined>({ kind: 'release', program });
      return closed;
    },
  };
}

/** Buffers that one tensor fills: only these are moved, a part of a larger buffer is copied. */
const wholeBuffers = (tensors: readonly Tensor[]): ArrayBufferLike[] =>
  tensors.filter(({ data }) => data.buffer instanceof ArrayBuffer && data.byteLength === data.buffer.byteLength)
    .map(({ data }) => data.buffer);
