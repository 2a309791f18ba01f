import { Worker, type TransferListItem } from 'node:worker_threads';
import { PupilError } from '../../errors.js';
import { cell, type ReplyMessage, type RequestMessage, type WorkerData } from './protocol.js';

/** The main thread's end of the worker: requests out, promises back. */
export interface Connection<Request> {
  /** What the worker said when it was ready. */
  readonly version: string;
  /** Sends a request; buffers in `transfer` move to the worker. */
  call<T>(request: Request, transfer?: readonly ArrayBufferLike[]): Promise<T>;
  /** Ends the worker after the requests before it are done. */
  close(): Promise<void>;
}

interface Pending {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

/** Longest wait for a running session when the process ends, milliseconds. */
const patience = 30_000;
const open = new Set<Int32Array>();

/** Waits, blocking, until no worker is inside its library; none begins anew. */
function settle(): void {
  for (const cells of open) Atomics.store(cells, cell.stopping, 1);
  for (const cells of open) if (Atomics.load(cells, cell.busy) === 1) Atomics.wait(cells, cell.busy, 1, patience);
}

export interface WorkerOptions<Request> {
  /** The worker's compiled file, which calls `serve`. */
  readonly url: URL;
  /** The thread's name. */
  readonly name: string;
  /** The library's own settings, sent to the worker. */
  readonly settings?: unknown;
  /** The request that ends the worker. */
  readonly close: Request;
  /** The error for a library that cannot be loaded, from what the worker said. */
  unavailable(message: string): PupilError;
}

/**
 * Starts a worker thread that owns a library. A worker that dies turns every pending and later call
 * into an error; an idle one does not keep the process alive. Throws what `unavailable` makes where
 * the library cannot be loaded.
 */
export async function connect<Request>(options: WorkerOptions<Request>): Promise<Connection<Request>> {
  const cells = new Int32Array(new SharedArrayBuffer(8));
  const workerData: WorkerData = { cells: cells.buffer, settings: options.settings };
  const worker = new Worker(options.url, { name: options.name, workerData, execArgv: [] });
  if (open.size === 0) process.on('exit', settle);
  open.add(cells);
  const pending = new Map<number, Pending>();
  let dead: Error | undefined;
  let count = 0;

  const fail = (error: Error): void => {
    dead ??= error;
    for (const { reject } of pending.values()) reject(dead);
    pending.clear();
  };
  const exited = new Promise<void>((resolve) => {
    worker.once('exit', (code) => {
      open.delete(cells);
      if (open.size === 0) process.off('exit', settle);
      fail(new Error(code === 0 ? 'the engine was closed' : `the engine's worker thread ended with code ${code}`));
      resolve();
    });
  });
  worker.on('error', (error: unknown) => {
    const message = error instanceof Error ? error.message : String(error);
    fail(new Error(`the engine's worker thread failed: ${message}`, { cause: error }));
  });

  const version = await new Promise<string>((resolve, reject) => {
    pending.set(-1, { resolve: () => {}, reject });
    worker.on('message', (message: ReplyMessage) => {
      if (message.kind === 'ready') {
        pending.delete(-1);
        resolve(message.version);
      } else if (message.kind === 'unavailable') {
        pending.delete(-1);
        reject(options.unavailable(message.message));
      } else {
        const entry = pending.get(message.id);
        pending.delete(message.id);
        if (pending.size === 0) worker.unref();
        if (message.error === undefined) entry?.resolve(message.value);
        else
          entry?.reject(
            message.code === undefined ? new Error(message.error) : new PupilError(message.code, message.error),
          );
      }
    });
  });
  worker.unref();

  const call = <T>(request: Request, transfer: readonly ArrayBufferLike[] = []): Promise<T> => {
    if (dead) return Promise.reject(dead);
    const id = count++;
    return new Promise<T>((resolve, reject) => {
      const message: RequestMessage<Request> = { id, request };
      worker.postMessage(message, [...new Set(transfer)] as unknown as TransferListItem[]);
      worker.ref();
      pending.set(id, { resolve: resolve, reject });
    });
  };

  let closing: Promise<void> | undefined;
  const close = (): Promise<void> => {
    closing ??= (async () => {
      if (!dead) {
        await call(options.close).catch(() => {});
        worker.ref();
      }
      dead ??= new Error('the engine was closed');
      await exited;
    })();
    return closing;
  };
  return { version, call, close };
}
