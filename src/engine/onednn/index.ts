import { PupilError } from '../../errors.js';
import type { CompileOptions, Engine, EngineOptions } from '../engine.js';
import { buffersToMove, checkState, describeThreads, openProgram } from '../programs.js';
import { connect } from '../thread/connect.js';
import type { Request, WorkerSettings } from './protocol.js';

/**
 * The engine on the system's oneDNN, called from TypeScript: no addon, no compiler. The library,
 * all programs and the state live in one worker thread. Throws `unsupported`, saying how to get it,
 * where the library is absent.
 */
export async function createDnnlEngine(options: EngineOptions = {}): Promise<Engine> {
  const settings: WorkerSettings = {
    threads: options.threads,
    choices: options.choices ?? {},
    profile: options.profile,
  };
  const connection = await connect<Request>({
    url: new URL('./worker.js', import.meta.url),
    settings,
    unavailable: (message) => new PupilError('unsupported', message, { option: 'engine' }),
  });
  const { precision: wanted = 'f32' } = options,
    precision = wanted === 'f32' || !(await connection.call<boolean>({ kind: 'has bfloat16' })) ? 'f32' : 'bf16';
  if (wanted === 'bf16' && precision === 'f32') {
    await connection.close();
    throw new PupilError(
      'unsupported',
      'this processor does not compute with bfloat16 (it lacks avx512_bf16 and AMX); use `precision: f32`',
      { option: 'precision' },
    );
  }
  const choices: Record<string, unknown> = { ...options.choices };
  let programs = 0;
  return {
    name: 'onednn',
    description:
      `oneDNN ${connection.version}, ${precision === 'bf16' ? 'bfloat16' : 'float32'}, ` +
      describeThreads(options.threads),
    precision,
    choices,
    async compile(graph, { state = {}, inference = false, exact = inference }: CompileOptions = {}) {
      checkState(graph, state);
      return openProgram(connection, graph, async (fixed) => {
        const program = programs++;
        Object.assign(
          choices,
          await connection.call<Record<string, unknown>>({
            kind: 'open',
            program,
            graph: fixed,
            state,
            precision: exact ? 'f32' : precision,
          }),
        );
        return program;
      });
    },
    write: (state, options) => connection.call({ kind: 'write', state }, buffersToMove(state.values(), options)),
    read: (names) => connection.call({ kind: 'read', names }),
    lend: (names) => connection.call({ kind: 'lend', names }),
    remove: (names) => connection.call({ kind: 'remove', names }),
    close: () => connection.close(),
  };
}
