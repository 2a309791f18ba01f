import koffi from 'koffi';

/** What the library's threads are, as it says of itself. */
const runtimes = { sequential: 1, openMp: 2 } as const;

/**
 * Sets the threads of the calls that this thread makes from now on; false where that cannot be
 * done.
 */
export function setThreads(runtime: number, count: number): boolean {
  if (runtime === runtimes.sequential) return count === 1;
  if (runtime !== runtimes.openMp) return false;
  // the OpenMP runtime that is loaded with the library
  for (const name of ['libgomp.so.1', 'libiomp5.so', 'libomp.so.5', 'libomp.dylib', 'libomp.so']) {
    try {
      (koffi.load(name).func('void omp_set_num_threads(int count)') as unknown as (count: number) => void)(count);
      return true;
    } catch {
      // not this one
    }
  }
  return false;
}
