import { availableParallelism, cpus } from 'node:os';
import { PupilError } from '../errors.js';
import type { Communicator } from './communicator.js';
import { launchedAs } from './mpi/launcher.js';
import { alone, createRanks, type Ranks } from './ranks.js';

/** The connection of this process, made once: a library of MPI begins and ends once in a process. */
let connection: Promise<Communicator> | undefined;

/**
 * The ranks that a launcher of MPI started together with this process, or this process alone. A connection stays until
 * the process ends. Throws `unsupported` where there is no library of MPI, `usage` for an impossible
 * PUPIL_MPI_TIMEOUT.
 */
export async function joinRanks(signal?: AbortSignal): Promise<Ranks> {
  const launched = launchedAs();
  if (!launched) return alone;
  const leads = launched.rank === 0;
  const { PUPIL_MPI_TIMEOUT: timeout = '40' } = process.env;
  const patience = Number(timeout);
  if (!(patience >= 10 && patience <= 1e6))
    throw new PupilError('usage', `PUPIL_MPI_TIMEOUT=${timeout}: give seconds, 10 or more`);
  connection ??= import('./mpi/communicator.js').then(({ joinMpi }) => {
    const communicator = joinMpi(launched);
    // Not `exit`: a process that ends in the middle of something does not wait for the others.
    process.once('beforeExit', () => void communicator.close());
    return communicator;
  });
  return createRanks(await connection, {
    patience,
    signal,
    // Rank 0 speaks for all, but it may be the one that is lost.
    onLost: (error) => leads || process.stderr.write(`pupil: ${error.message}\n`),
  });
}

/** Throws `usage` where a launcher of MPI started several processes, of which `command` has no use. */
export function assertStartedAlone(command: string): void {
  const launched = launchedAs();
  if (!launched) return;
  const instead = command === 'search' ? ', or divide it with `shard`, as an array job' : '';
  throw new PupilError(
    'usage',
    `pupil ${command} runs as one process, not as ${launched.size} ranks: start it without mpirun${instead} (train, ` +
      'distill, self-train and learn run on several)',
  );
}

/**
 * Ends all ranks with the error that this one ends with before it was connected, such as an option that it does not
 * know. Waits for the others: a launcher ends all at once when one has failed, and the first might not have said why.
 */
export async function failTogether(error: unknown): Promise<void> {
  const launched = launchedAs();
  if (!launched || connection) return;
  try {
    const ranks = await joinRanks();
    await ranks.fail(error).catch(() => undefined);
  } catch {
    if (launched.rank > 0) await new Promise((resolve) => setTimeout(resolve, secondsToSpeak * 1000));
  }
}

/** What the first rank has where ranks cannot be connected. */
const secondsToSpeak = 5;

/** Threads for this process: those of the machine that its ranks share, unless the launcher has dealt them out. */
export function threadsOfRank(): number | undefined {
  const launched = launchedAs();
  if (!launched) return undefined;
  const threads = availableParallelism();
  return threads < cpus().length ? threads : Math.max(1, Math.floor(threads / launched.onThisMachine));
}
