import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { setImmediate as nextTurn } from 'node:timers/promises';

let collect: (() => void) | undefined;

function loadCollector(): () => void {
  try {
    setFlagsFromString('--expose-gc');
    return runInNewContext('gc') as () => void;
  } catch {
    return () => undefined; // another runtime, which collects when it likes
  }
}

/**
 * Frees what nobody refers to any more in this thread, memory outside of the heap included, which is
 * given back a turn later. For buffers of tens of megabytes: V8 knows little of their size and lets
 * several of them stand, in every thread. Takes some milliseconds.
 */
export async function collectGarbage(): Promise<void> {
  collect ??= loadCollector();
  collect();
  await nextTurn();
}
