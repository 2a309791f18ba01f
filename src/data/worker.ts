/** A thread that decodes and augments: task in, result out, one at a time. */
import { setPriority } from 'node:os';
import { parentPort } from 'node:worker_threads';
import { invariant, PupilError } from '../errors.js';
import type { Reply } from './pool.js';
import { execute, type Task } from './task.js';

invariant(parentPort !== null, 'data/worker runs only as a worker thread');
const port = parentPort;

/**
 * The next batch must not take a core from the step under way: threads of an engine wait for each
 * other, in places without sleeping. On Linux 0 is the calling thread; elsewhere it would be the
 * whole process.
 */
if (process.platform === 'linux') {
  try {
    setPriority(0, 10);
  } catch {
    // not allowed here: as before, then
  }
}

port.on('message', ({ id, task }: { id: number; task: Task }) => {
  const transfer: ArrayBuffer[] = [];
  const answer = (reply: Reply, buffers: ArrayBuffer[] = []): void => port.postMessage(reply, buffers);
  execute(task, transfer).then(
    (result) => answer({ id, result }, transfer),
    (error: unknown) => {
      if (error instanceof PupilError) answer({ id, code: error.code, message: error.message });
      else if (error instanceof Error) answer({ id, message: error.message, stack: error.stack });
      else answer({ id, message: String(error) });
    },
  );
});
