/** A thread that decodes and augments: task in, result out, one at a time. */
import { setPriority } from 'node:os';
import { answer } from '../threads/answer.js';
import { execute, type Task } from './task.js';

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

answer<Task>(execute);
