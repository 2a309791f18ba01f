import type { PupilError } from '../../errors.js';
import { messageOf } from '../../threads/protocol.js';
import { startThread, type Thread } from '../../threads/thread.js';
import { cell, type EngineRequest } from './protocol.js';

/** The calling thread's end of an engine's worker. */
export interface Connection<Request> {
  /** What the library said of itself when it was loaded. */
  readonly version: string;
  /** Sends a request; buffers in `transfer` move to the worker. */
  call<T>(request: Request, transfer?: readonly ArrayBufferLike[]): Promise<T>;
  /** Ends the worker after the requests before it are done. */
  close(): Promise<void>;
}

/** Longest wait for a running session when the process ends, milliseconds. */
const patience = 30_000;
const open = new Set<Int32Array>();

/** Waits, blocking, until no worker is inside its library; none begins anew. */
function settle(): void {
  for (const cells of open) Atomics.store(cells, cell.stopping, 1);
  for (const cells of open) if (Atomics.load(cells, cell.busy) === 1) Atomics.wait(cells, cell.busy, 1, patience);
}

export interface ConnectOptions {
  /** The worker's compiled file, which calls `serve`. */
  readonly url: URL;
  /** The library's own settings, sent to the worker. */
  readonly settings?: unknown;
  /** The error for a library that cannot be loaded, from what the worker said. */
  unavailable(message: string): PupilError;
}

/**
 * Starts a worker thread that owns a library. Throws what `unavailable` makes where the library
 * cannot be loaded.
 */
export async function connect<Request>(options: ConnectOptions): Promise<Connection<Request>> {
  const cells = new Int32Array(new SharedArrayBuffer(8));
  const thread: Thread<EngineRequest<Request>> = startThread({
    url: options.url,
    name: 'the engine',
    workerData: cells.buffer,
  });
  if (open.size === 0) process.on('exit', settle);
  open.add(cells);
  void thread.ended.then(() => {
    open.delete(cells);
    if (open.size === 0) process.off('exit', settle);
  });
  const version = await thread
    .call<string>({ kind: 'load', settings: options.settings })
    .catch(async (error: unknown) => {
      await thread.end();
      throw options.unavailable(messageOf(error));
    });
  return {
    version,
    call: (request, transfer) => thread.call(request, transfer),
    close: () => thread.end({ kind: 'close' }),
  };
}
