import { PupilError } from '../errors.js';
import { ThreadError } from '../threads/protocol.js';
import type { Engine, Program } from './engine.js';

/**
 * An engine for a network from a file: what the library cannot compile or run of it is `bad-model`,
 * as files may ask for anything, and no bug.
 */
export function forNetworkOf(file: string, engine: Engine): Engine {
  const guarded = async <T>(work: Promise<T>): Promise<T> => {
    try {
      return await work;
    } catch (error) {
      if (!(error instanceof ThreadError)) throw error;
      throw new PupilError(
        'bad-model',
        `${file}: ${engine.name} cannot run this network (${error.message}); export it again, or use another one`,
        { cause: error },
      );
    }
  };
  return {
    name: engine.name,
    description: engine.description,
    precision: engine.precision,
    async compile(graph, options): Promise<Program> {
      const program = await guarded(engine.compile(graph, options));
      return { run: (feeds, runOptions) => guarded(program.run(feeds, runOptions)), close: () => program.close() };
    },
    write: (state, options) => engine.write(state, options),
    read: (names) => engine.read(names),
    lend: (names) => engine.lend(names),
    remove: (names) => engine.remove(names),
    get choices() {
      return engine.choices;
    },
    close: () => engine.close(),
  };
}
