import { parentPort, workerData, type TransferListItem } from 'node:worker_threads';
import { PupilError, type ErrorCode } from '../../errors.js';
import { cell, type ReplyMessage, type RequestMessage, type WorkerData } from './protocol.js';

/** The message of anything thrown. */
export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** The code of a user's mistake, also of one that was wrapped. */
const codeOf = (error: unknown): ErrorCode | undefined =>
  error instanceof PupilError
    ? error.code
    : error instanceof Error && error.cause !== undefined
      ? codeOf(error.cause)
      : undefined;

/** Answers one request; buffers put into `transfer` move to the main thread. */
export type Perform<Request> = (request: Request, transfer: TransferListItem[]) => unknown;

/**
 * The worker thread's end: loads the library, then works requests off one after the other, in the
 * order in which they came. `start` returns a version and how requests are answered; when it
 * throws, the library is not available.
 */
export async function serve<Request extends { readonly kind: string }>(
  start: (
    settings: unknown,
  ) => { version: string; perform: Perform<Request> } | Promise<{ version: string; perform: Perform<Request> }>,
): Promise<void> {
  if (!parentPort) throw new Error("an engine's worker runs in a worker thread only");
  const port = parentPort,
    { cells: shared, settings } = workerData as WorkerData,
    cells = new Int32Array(shared);
  const reply = (message: ReplyMessage, transfer: TransferListItem[] = []): void => port.postMessage(message, transfer);
  let version: string, perform: Perform<Request>;
  try {
    ({ version, perform } = await start(settings));
  } catch (error) {
    reply({ kind: 'unavailable', message: messageOf(error) });
    return;
  }
  const answer = async (id: number, request: Request): Promise<void> => {
    Atomics.store(cells, cell.busy, 1);
    const transfer: TransferListItem[] = [];
    try {
      if (Atomics.load(cells, cell.stopping) === 1) return;
      const value = await perform(request, transfer);
      reply({ kind: 'reply', id, value }, transfer);
    } catch (error) {
      reply({ kind: 'reply', id, error: messageOf(error), code: codeOf(error) });
    } finally {
      Atomics.store(cells, cell.busy, 0);
      Atomics.notify(cells, cell.busy);
    }
    if (request.kind === 'close') port.close();
  };
  let queue: Promise<void> = Promise.resolve();
  port.on('message', ({ id, request }: RequestMessage<Request>) => {
    queue = queue.then(() => answer(id, request));
  });
  reply({ kind: 'ready', version });
}
