import { PupilError } from '../../errors.js';
import type { Graph } from '../../graph/graph.js';
import { encodeGraph } from '../../onnx/index.js';
import type { CompileOptions, Engine, EngineOptions, Program } from '../engine.js';
import { createChoices, withoutBlocks } from './choices.js';
import { lower } from './lower.js';
import { checkState, describeThreads, openProgram, programOf } from '../programs.js';
import { connect } from '../thread/connection.js';
import type { Request, SessionSettings } from './protocol.js';

export interface OrtOptions extends EngineOptions {
  /** onnxruntime's names of execution providers, tried in order (default cpu). */
  readonly providers?: readonly string[];
}

/**
 * The engine on onnxruntime-node: all sessions and the state live in one worker thread, so the caller's event loop stays free.
 * Throws `unsupported` where onnxruntime-node does not exist.
 */
export async function createOrtEngine(options: OrtOptions = {}): Promise<Engine> {
  const connection = await connect<Request>({
    url: new URL('./worker.js', import.meta.url), name: 'pupil onnxruntime', close: { kind: 'close' },
    unavailable: (message) => new PupilError('unsupported',
      `onnxruntime-node cannot be loaded on ${process.platform} ${process.arch}: ${message}; ` +
      'it exists for Linux and Windows (x64, arm64) and macOS (arm64): reinstall the package there'),
  });
  const providers = options.providers ?? ['cpu'];
  const settings = (inference: boolean): SessionSettings => ({
    threads: options.threads, providers, profile: options.profile, optimization: inference ? 'all' : 'basic',
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
    precision: 'f32',
    choices: choices.recorded,
    async compile(graph: Graph, compileOptions: CompileOptions = {}): Promise<Program> {
      const { state = {}, inference = false } = compileOptions;
      checkState(graph, state);
      // with constant weights onnxruntime finds the best layout by itself
      if (inference) return programOf(connection, await open(lower(graph, withoutBlocks(choices)), state, true));
      return openProgram(connection, graph, (fixed) => open(lower(fixed, choices), state, false));
    },
    write: (state) => connection.call({ kind: 'write', state }),
    read: (names) => connection.call({ kind: 'read', names }),
    remove: (names) => connection.call({ kind: 'remove', names }),
    close: () => connection.close(),
  };
}

