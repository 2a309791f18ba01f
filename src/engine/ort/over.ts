import type { PupilError } from '../../errors.js';
import { GraphBuilder } from '../../graph/builder.js';
import type { Graph } from '../../graph/graph.js';
import { encodeGraph } from '../../onnx/encode.js';
import type { CompileOptions, Engine, EngineOptions, Program } from '../engine.js';
import { createChoices, withoutBlocks } from './choices.js';
import type { Choices } from './lowering.js';
import { lower } from './lower.js';
import { buffersToMove, checkState, describeThreads, openProgram, programOf } from '../programs.js';
import type { Connection } from '../thread/connect.js';
import type { Request, SessionSettings } from './protocol.js';

export interface OrtOptions extends EngineOptions {
  /** onnxruntime's names of execution providers, tried in order (default cpu). */
  readonly providers?: readonly string[];
  /** The engine's name (default ort). */
  readonly name?: string;
  /** Rewrites a training graph for the providers (default: for the CPU). */
  readonly lower?: (graph: Graph, choices: Choices) => Graph;
  /**
   * For a provider with memory of its own, where the state then stays: the error when it has no
   * device, from what onnxruntime said.
   */
  readonly withoutDevice?: (message: string) => PupilError;
}

/**
 * Copies a tensor: between sessions whose results stay on a device and those whose results do not,
 * it moves one.
 */
function copyModel(): Uint8Array {
  const builder = new GraphBuilder('copy');
  builder.outputs({ y: builder.op('Identity', [builder.input('x', 'float32', ['size'])]) });
  return encodeGraph(builder.build());
}

/**
 * The engine over the thread, or whatever else answers, that has the sessions of an onnxruntime. Where it
 * fails the connection is closed.
 */
export async function engineOver(connection: Connection<Request>, options: OrtOptions = {}): Promise<Engine> {
  const providers = options.providers ?? ['cpu'],
    lowering = options.lower ?? lower,
    { withoutDevice } = options;
  const settings = (inference: boolean): SessionSettings => ({
    threads: options.threads,
    providers,
    profile: options.profile,
    optimization: inference ? 'all' : 'basic',
  });
  let programs = 0;
  const open = async (
    graph: Graph,
    state: Readonly<Record<string, string | null>>,
    inference: boolean,
  ): Promise<number> => {
    const program = programs++;
    const model = encodeGraph(graph);
    const resident = !withoutDevice
      ? []
      : Object.values(state).filter((output) => output !== null && graph.values.get(output)?.dtype === 'float32');
    await connection.call(
      {
        kind: 'open',
        program,
        name: graph.name,
        model,
        state,
        resident: resident as string[],
        settings: settings(inference),
      },
      [model.buffer],
    );
    return program;
  };
  if (withoutDevice) {
    await connection.call({ kind: 'device', providers, copy: copyModel() }).catch(async (error: unknown) => {
      await connection.close();
      throw withoutDevice((error as Error).message);
    });
  }
  const choices = await createChoices(options.choices ?? {}, connection, open).catch(async (error: unknown) => {
    await connection.close();
    throw error;
  });

  return {
    name: options.name ?? 'ort',
    description: `onnxruntime ${connection.version}, ${providers.join(' then ')}, ${describeThreads(options.threads)}`,
    precision: 'f32',
    choices: choices.recorded,
    async compile(graph: Graph, compileOptions: CompileOptions = {}): Promise<Program> {
      const { state = {}, inference = false } = compileOptions;
      checkState(graph, state);
      // with constant weights onnxruntime finds the best layout by itself
      if (inference) return programOf(connection, await open(lowering(graph, withoutBlocks(choices)), state, true));
      return openProgram(connection, graph, (fixed) => open(lowering(fixed, choices), state, false));
    },
    write: (state, options) => connection.call({ kind: 'write', state }, buffersToMove(state.values(), options)),
    read: (names) => connection.call({ kind: 'read', names }),
    lend: () => Promise.resolve(new Map()),
    remove: (names) => connection.call({ kind: 'remove', names }),
    close: () => connection.close(),
  };
}
