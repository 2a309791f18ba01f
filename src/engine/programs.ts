import { staticDims, type Graph } from '../graph/graph.js';
import { foldConstants, specialise } from '../graph/passes.js';
import type { Tensor } from '../tensor.js';
import type { Program } from './engine.js';
import type { Connection } from './thread/connect.js';

/**
 * What engines with a worker thread have in common: checks, programs by number, graphs of open
 * sizes.
 */

/** The requests about programs that every such worker answers. */
export type ProgramRequest =
  | { readonly kind: 'run'; readonly program: number; readonly feeds: Readonly<Record<string, Tensor>> }
  | { readonly kind: 'release'; readonly program: number };

/** The threads of an engine, for its description. */
export const describeThreads = (threads: number | undefined): string =>
  threads === undefined ? 'a thread per core' : `${threads} ${threads === 1 ? 'thread' : 'threads'}`;

/** A program of a graph; where sizes are left open, one for every size that comes. */
export async function openProgram(
  connection: Connection<ProgramRequest>,
  graph: Graph,
  open: (graph: Graph) => Promise<number>,
): Promise<Program> {
  if (graph.inputs.every(({ shape }) => staticDims(shape))) return programOf(connection, await open(graph));
  return sizedProgram(connection, graph, open);
}

/** Every name must exist, and no output may replace two entries. */
export function checkState(graph: Graph, state: Readonly<Record<string, string | null>>): void {
  const inputs = new Set(graph.inputs.map((input) => input.name));
  const outputs = new Set(graph.outputs);
  const used = new Set<string>();
  for (const [input, output] of Object.entries(state)) {
    if (!inputs.has(input)) throw new Error(`${graph.name}: state ${JSON.stringify(input)} is no input of the graph`);
    if (output === null) continue;
    if (!outputs.has(output))
      throw new Error(`${graph.name}: ${JSON.stringify(output)}, the next ${input}, is no output of the graph`);
    if (used.has(output))
      throw new Error(`${graph.name}: the output ${JSON.stringify(output)} would replace two entries of the state`);
    used.add(output);
  }
}

/** A compiled program of the worker. */
export function programOf(connection: Connection<ProgramRequest>, program: number): Program {
  let closed: Promise<void> | undefined;
  return {
    run(feeds, options = {}) {
      const moved = buffersToMove(Object.values(feeds), options);
      return connection.call<Record<string, Tensor>>({ kind: 'run', program, feeds }, moved);
    },
    close() {
      closed ??= connection.call<undefined>({ kind: 'release', program });
      return closed;
    },
  };
}

/** Sessions that a program of open sizes keeps: the batch, and the smaller last one of a pass. */
const keptSizes = 4;

/**
 * A program whose graph leaves sizes open (the batch `N`): a session of its own for every size that
 * comes, since lowering needs numbers; the oldest are closed.
 */
function sizedProgram(
  connection: Connection<ProgramRequest>,
  graph: Graph,
  open: (graph: Graph) => Promise<number>,
): Program {
  const sessions = new Map<string, Promise<Program>>();
  let closed = false;
  return {
    async run(feeds, options) {
      if (closed) throw new Error('the program was closed');
      const sizes = sizesOf(graph, feeds);
      const key = JSON.stringify(sizes);
      let session = sessions.get(key);
      if (!session) {
        session = open(foldConstants(specialise(graph, sizes))).then((program) => programOf(connection, program));
        session.catch(() => sessions.delete(key));
      }
      sessions.delete(key);
      sessions.set(key, session); // the latest is last
      const program = await session;
      const outputs = program.run(feeds, options);
      const oldest = sessions.keys().next().value;
      if (sessions.size > keptSizes && oldest !== undefined) {
        const leaving = sessions.get(oldest)!;
        sessions.delete(oldest);
        await (await leaving).close();
      }
      return outputs;
    },
    async close() {
      closed = true;
      const all = [...sessions.values()];
      sessions.clear();
      for (const session of all) await (await session).close();
    },
  };
}

/** What the open sizes of a graph are for these feeds. Throws when two inputs disagree. */
function sizesOf(graph: Graph, feeds: Readonly<Record<string, Tensor>>): Record<string, number> {
  const sizes: Record<string, number> = {};
  for (const { name, shape } of graph.inputs) {
    const dims = feeds[name]?.dims;
    shape.forEach((dim, axis) => {
      const size = dims?.[axis];
      if (typeof dim === 'number' || size === undefined) return;
      if ((sizes[dim] ??= size) !== size)
        throw new Error(`${graph.name}: ${dim} is ${sizes[dim]} in one input and ${size} in ${name}`);
    });
  }
  return sizes;
}

/** What moves to the worker where that is asked for: buffers that one tensor fills, not parts of larger ones. */
export const buffersToMove = (
  tensors: Iterable<Tensor>,
  { transfer = false }: { readonly transfer?: boolean } = {},
): ArrayBufferLike[] =>
  (transfer ? [...tensors] : [])
    .filter(({ data }) => data.buffer instanceof ArrayBuffer && data.byteLength === data.buffer.byteLength)
    .map(({ data }) => data.buffer);
