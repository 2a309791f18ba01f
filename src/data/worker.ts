/** A thread that decodes and augments: task in, result out, one at a time. */
import { parentPort } from 'node:worker_threads';
import { invariant, PupilError } from '../errors.js';
import type { Reply } from './pool.js';
import { execute, type Task } from './task.js';

invariant(parentPort !== null, 'data/worker runs only as a worker thread');
const port = parentPort;

port.on('message', ({ id, task }: { id: number; task: Task }) => {
  const transfer: ArrayBuffer[] = [];
  const answer = (reply: Reply, buffers: ArrayBuffer[] = []): void => port.postMessage(reply, buffers);
  execute(task, transfer).then(
    (result) => answer({ id, result }, transfer),
    (error: unknown) => {
      if (error instanceof PupilError) answer({ id, code: error.code, message: error.message });
      else if (error instanceof Error) answer({ id, message: error.message, ...(error.stack !== undefined && { stack: error.stack }) });
      else answer({ id, message: String(error) });
    },
  );
});
