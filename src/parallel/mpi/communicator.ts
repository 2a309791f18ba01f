import { hostname } from 'node:os';
import koffi from 'koffi';
import { PupilError } from '../../errors.js';
import type { Communicator } from '../communicator.js';
import type { Launched } from './launcher.js';
import { loadMpi, type CFunction } from './library.js';

/** Calls come from one thread after another, never two at a time. */
const serialized = 2;

/**
 * Joins the processes that a launcher of MPI started together. Calls wait in threads of their own. Throws
 * `unsupported` where the library cannot be used or is not the launcher's.
 */
export function joinMpi(launched: Launched): Communicator {
  // Stack of the threads that wait: the usual 128 KiB are few for a library with drivers of networks.
  koffi.config({ async_stack_size: 2 * 2 ** 20 });
  // A signal that JavaScript engines use themselves is not the library's.
  process.env['OMPI_MCA_opal_signal'] ??= '6';
  const mpi = loadMpi(launched.kind);
  const number = Buffer.alloc(4);
  const check = (name: string, status: number): void => {
    if (status !== 0) throw new PupilError('crashed', `${name} of ${mpi.version} failed with status ${status}`);
  };
  const ask = (name: string): number => {
    check(name, mpi.function(`int ${name}(handle communicator, void *value)`)(mpi.world, number) as number);
    return number.readInt32LE();
  };
  const init = mpi.function('int MPI_Init_thread(void *argc, void *argv, int required, void *provided)');
  check('MPI_Init_thread', init(null, null, serialized, number) as number);
  const provided = number.readInt32LE();
  const rank = ask('MPI_Comm_rank'),
    size = ask('MPI_Comm_size');
  const finalize = mpi.function('int MPI_Finalize()');
  if (size !== launched.size || provided < serialized) {
    finalize();
    throw new PupilError(
      'unsupported',
      size === launched.size
        ? `${mpi.version} (${mpi.path}) was built without threads, which are needed`
        : `the launcher started ${launched.size} processes, of which ${mpi.version} (${mpi.path}) sees ${size}: name ` +
            'the library that belongs to the launcher with PUPIL_MPI',
    );
  }
  const allReduce = mpi.function(
    'int MPI_Allreduce(const void *send, void *receive, int count, handle type, handle operation, handle communicator)',
  );
  const broadcast = mpi.function('int MPI_Bcast(void *buffer, int count, handle type, int root, handle communicator)');
  const abort = mpi.function('int MPI_Abort(handle communicator, int code)');
  return {
    rank,
    size,
    place: `process ${process.pid} on ${hostname()}`,
    async allReduce(values) {
      check(
        'MPI_Allreduce',
        await waiting(allReduce, mpi.inPlace, values, values.length, mpi.float, mpi.sum, mpi.world),
      );
    },
    async broadcast(bytes, root) {
      check('MPI_Bcast', await waiting(broadcast, bytes, bytes.length, mpi.byte, root, mpi.world));
    },
    close() {
      check('MPI_Finalize', finalize() as number);
      return Promise.resolve();
    },
    abort(exitCode) {
      // Where the launcher cannot be reached either, the process still ends.
      setTimeout(() => process.kill(process.pid, 'SIGKILL'), 3000);
      abort.async(mpi.world, exitCode, () => undefined);
    },
  };
}

/** Calls a function in another thread; its status. */
const waiting = (call: CFunction, ...values: readonly unknown[]): Promise<number> =>
  new Promise((resolve, reject) => {
    call.async(...values, (error: Error | null, status: number) => (error ? reject(error) : resolve(status)));
  });
