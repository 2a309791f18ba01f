import { availableParallelism, totalmem } from 'node:os';
import { Worker } from 'node:worker_threads';
import { PupilError, type ErrorCode } from '../errors.js';
import { loadCodec } from '../image/decode.js';
import { defaultCacheFolder } from './disk-cache.js';
import { execute, type ResultOf, type Task } from './task.js';

export interface PoolOptions {
  /** Threads that decode and augment; default one per core, 0 works in the calling thread. */
  readonly workers?: number;
  /**
   * Bytes of decoded images that are held in memory; default 2 GiB, at most a quarter of the
   * machine's memory.
   */
  readonly memory?: number;
  /** Bytes of decoded images that are held on disk beyond that; default 20 GiB. */
  readonly disk?: number;
  /** Folder for those; default the user's cache folder. */
  readonly cacheFolder?: string;
}

/**
 * Threads for images and the memory that they share. Used by any number of loaders; close it when
 * done.
 */
export interface Pool {
  readonly workers: number;
  readonly memory: { readonly limit: number; used: number };
  readonly disk: { readonly limit: number; used: number };
  readonly cacheFolder: string;
  /** Does a task in a worker, in the order of the calls. */
  run<T extends Task>(task: T): Promise<ResultOf<T>>;
  close(): Promise<void>;
}

/** What a worker answers. */
export type Reply =
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly code?: ErrorCode; readonly message: string; readonly stack?: string };

interface Waiting {
  readonly task: Task;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
}

const gibibyte = 2 ** 30;

/**
 * Makes a pool; threads start with the first task and never keep the process alive by themselves.
 */
export function createPool(options: PoolOptions = {}): Pool {
  const count = options.workers ?? availableParallelism();
  if (!Number.isInteger(count) || count < 0)
    throw new PupilError('usage', `${String(count)} workers: give a whole number, 0 or more`);
  const queue: Waiting[] = [];
  const idle: Worker[] = [];
  const busy = new Map<Worker, Waiting>();
  let started: Promise<void> | undefined;
  let closed = false;

  const fail = (worker: Worker, error: Error): void => {
    const job = busy.get(worker);
    busy.delete(worker);
    const place = idle.indexOf(worker);
    if (place >= 0) idle.splice(place, 1);
    job?.reject(error);
    if (!closed && queue.length > 0) start();
    pump();
  };

  const start = (): void => {
    const worker = new Worker(new URL('./worker.js', import.meta.url), { name: 'images' });
    worker.unref();
    worker.on('message', (reply: Reply) => {
      const job = busy.get(worker);
      busy.delete(worker);
      idle.push(worker);
      // A worker that is being ended keeps the process alive until it has: its last answer may come
      // after that began.
      if (!closed) worker.unref();
      if (job === undefined) return;
      if ('result' in reply) job.resolve(reply.result);
      else if (reply.code !== undefined) job.reject(new PupilError(reply.code, reply.message));
      else job.reject(Object.assign(new Error(reply.message), { stack: reply.stack }));
      pump();
    });
    worker.on('error', (error) => fail(worker, error instanceof Error ? error : new Error(String(error))));
    worker.on('exit', (code) => fail(worker, new Error(`an image worker stopped with code ${code}`)));
    idle.push(worker);
  };

  let nextId = 0;
  const pump = (): void => {
    while (queue.length > 0 && idle.length > 0) {
      const worker = idle.shift()!;
      const job = queue.shift()!;
      busy.set(worker, job);
      worker.ref();
      worker.postMessage({ id: nextId++, task: job.task });
    }
  };

  return {
    workers: count,
    memory: { limit: options.memory ?? Math.min(2 * gibibyte, Math.floor(totalmem() / 4)), used: 0 },
    disk: { limit: options.disk ?? 20 * gibibyte, used: 0 },
    cacheFolder: options.cacheFolder ?? defaultCacheFolder(),
    async run<T extends Task>(task: T): Promise<ResultOf<T>> {
      if (closed) throw new Error('the pool of image workers is closed');
      if (count === 0) return execute(task);
      started ??= loadCodec().then(() => {
        for (let i = 0; i < count; i++) start();
      });
      await started;
      return new Promise<ResultOf<T>>((resolve, reject) => {
        queue.push({ task, resolve: resolve as (result: unknown) => void, reject });
        pump();
      });
    },
    async close() {
      if (closed) return;
      closed = true;
      await started;
      const error = new PupilError('interrupted', 'the image workers were closed while work was waiting');
      for (const job of [...queue.splice(0), ...busy.values()]) job.reject(error);
      const workers = [...idle, ...busy.keys()];
      busy.clear();
      await Promise.all(workers.map((worker) => worker.terminate()));
    },
  };
}
