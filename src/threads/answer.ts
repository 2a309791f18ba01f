import { parentPort } from 'node:worker_threads';
import { invariant } from '../errors.js';
import { failureOf, type NumberedRequest, type Reply } from './protocol.js';

/** Answers one request; buffers put into `transfer` move to the calling thread. */
export type Perform<Request> = (request: Request, transfer: ArrayBuffer[]) => unknown;

/**
 * The worker thread's end: works requests off one after the other, in the order in which they came.
 * After one that `isLast` the thread ends.
 */
export function answer<Request>(perform: Perform<Request>, isLast: (request: Request) => boolean = () => false): void {
  invariant(parentPort, 'requests are answered in a worker thread only');
  const port = parentPort;
  const reply = async ({ id, request }: NumberedRequest<Request>): Promise<void> => {
    const transfer: ArrayBuffer[] = [];
    try {
      port.postMessage({ id, value: await perform(request, transfer) } satisfies Reply, transfer);
    } catch (error) {
      port.postMessage({ id, failure: failureOf(error) } satisfies Reply);
    }
    if (!isLast(request)) return;
    if (typeof port.close === 'function') port.close();
    else process.exit(); // Deno's port has no close; there, too, this ends the thread alone
  };
  let queue: Promise<void> = Promise.resolve();
  port.on('message', (message: NumberedRequest<Request>) => {
    queue = queue.then(() => reply(message));
  });
}
