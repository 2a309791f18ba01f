import { Worker, type ResourceLimits, type TransferListItem } from 'node:worker_threads';
import { PupilError } from '../errors.js';
import { errorOf, messageOf, type NumberedRequest, type Reply } from './protocol.js';

/** The calling thread's end of a worker thread that `answer`s: requests out, promises back. */
export interface Thread<Request> {
  /** Sends a request; buffers in `transfer` move to the thread. */
  call<T>(request: Request, transfer?: readonly ArrayBufferLike[]): Promise<T>;
  /** Ends the thread: after the requests before it and then `last` are answered, or at once. */
  end(last?: Request): Promise<void>;
  /** Settles when the thread has ended, however that came. */
  readonly ended: Promise<void>;
}

export interface ThreadOptions {
  /** The compiled file of the thread, which calls `answer`. */
  readonly url: URL;
  /** What it is, for debuggers and for messages that begin with it: `the engine`. */
  readonly name: string;
  readonly workerData?: unknown;
  readonly resourceLimits?: ResourceLimits | undefined;
}

interface Pending {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

const died = (what: string, cause?: unknown): PupilError =>
  new PupilError('crashed', `${what}; what was saved before is kept`, { cause });

function causeOf(error: unknown): string {
  const { code } = (error ?? {}) as { readonly code?: unknown };
  return code === 'ERR_WORKER_OUT_OF_MEMORY'
    ? 'ran out of memory (close other programs, or use smaller images or batches)'
    : `failed: ${messageOf(error)}`;
}

/**
 * Starts a worker thread. One that dies turns every pending and later call into an error; an idle
 * one does not keep the process alive, one that is ending does.
 */
export function startThread<Request>({ url, name, workerData, resourceLimits }: ThreadOptions): Thread<Request> {
  const worker = new Worker(url, { name, workerData, resourceLimits, execArgv: [] });
  const pending = new Map<number, Pending>();
  let dead: Error | undefined,
    isEnding = false,
    count = 0;
  worker.unref();

  const fail = (error: Error): void => {
    dead ??= error;
    for (const { reject } of pending.values()) reject(dead);
    pending.clear();
  };
  worker.on('message', (reply: Reply) => {
    const call = pending.get(reply.id);
    pending.delete(reply.id);
    if (pending.size === 0 && !isEnding) worker.unref();
    if ('failure' in reply) call?.reject(errorOf(reply.failure));
    else call?.resolve(reply.value);
  });
  worker.on('error', (error: unknown) => fail(died(`${name} ${causeOf(error)}`, error)));
  const ended = new Promise<void>((resolve) => {
    worker.once('exit', (code) => {
      fail(isEnding ? new Error(`${name} was closed`) : died(`${name} ended with code ${code}`));
      resolve();
    });
  });

  const call = <T>(request: Request, transfer: readonly ArrayBufferLike[] = []): Promise<T> => {
    if (dead) return Promise.reject(dead);
    const message: NumberedRequest<Request> = { id: count++, request };
    return new Promise<T>((resolve, reject) => {
      worker.postMessage(message, [...new Set(transfer)] as unknown as TransferListItem[]);
      worker.ref();
      pending.set(message.id, { resolve: resolve, reject });
    });
  };
  const end = async (last?: Request): Promise<void> => {
    // Also of one that died: its end is still to be heard of, though an answer may come before.
    worker.ref();
    isEnding = true;
    if (!dead) await (last === undefined ? worker.terminate() : call(last)).catch(() => {});
    dead ??= new Error(`${name} was closed`);
    await ended;
  };
  let ending: Promise<void> | undefined;
  return { call, end: (last) => (ending ??= end(last)), ended };
}
