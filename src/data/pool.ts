import { availableParallelism, totalmem } from 'node:os';
import { PupilError } from '../errors.js';
import { loadCodec } from '../image/decode.js';
import type { Size } from '../image/image.js';
import { startThread, type Thread } from '../threads/thread.js';
import type { Location } from './batch.js';
import { defaultCacheFolder } from './disk-cache.js';
import { createFingerprints, type Fingerprints } from './fingerprints.js';
import { createRoom } from './room.js';
import { arrived } from './arrived.js';
import { createBringer } from './bring.js';
import { createReadAhead } from './read-ahead.js';
import { roomOnDisk } from './shard-order.js';
import type { Target } from './target.js';
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
  /** Ends what is fetched from hosts. */
  readonly signal?: AbortSignal | undefined;
  /** Every image is measured when it is decoded (`Pool.measured`). */
  readonly measure?: boolean;
}

/**
 * Threads for images and the memory that they share. Used by any number of loaders; close it when
 * done.
 */
export interface Pool {
  readonly workers: number;
  readonly memory: { readonly limit: number; used: number };
  /** The limit falls where the disk has less room. */
  readonly disk: { limit: number; used: number };
  readonly cacheFolder: string;
  /** Where images are that all who use the pool share, by content and target (`prepareTogether`). */
  readonly shared: Map<string, Location>;
  /** What is wrong with those of them that cannot be decoded, by content. */
  readonly failed: Map<string, string>;
  /** Paths of files that a training has warned of: those of a job warn of each once. */
  readonly told: Set<string>;
  /** At which sizes images are wanted sooner or later, by content (`wantSizes`). */
  readonly wanted: Map<string, readonly Target[]>;
  /** Of images that were decoded, here or before. */
  readonly fingerprints: Fingerprints;
  /** Of images that were decoded here, by content; undefined: nobody wants to know. */
  readonly measured: Map<string, Measured> | undefined;
  /** Does a task in a worker, in the order of the calls. */
  run<T extends Task>(task: T): Promise<ResultOf<T>>;
  close(): Promise<void>;
}

/** What is seen of a whole image: its size in pixels, and how far apart its values are. */
export interface Measured extends Size {
  readonly contrast: number;
}

interface Job {
  readonly task: Task;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: unknown) => void;
}

const gibibyte = 2 ** 30;

/**
 * Makes a pool; threads start with the first task and never keep the process alive by themselves.
 */
export function createPool(options: PoolOptions = {}): Pool {
  const count = options.workers ?? availableParallelism();
  if (!Number.isInteger(count) || count < 0)
    throw new PupilError('usage', `${String(count)} workers: give a whole number, 0 or more`);
  let threads: Threads | undefined;
  let closed = false;
  const room = createRoom(),
    bringer = createBringer({ signal: options.signal }),
    readAhead = createReadAhead(bringer.bring);
  return {
    workers: count,
    memory: { limit: options.memory ?? Math.min(2 * gibibyte, Math.floor(totalmem() / 4)), used: 0 },
    disk: { limit: options.disk ?? roomOnDisk, used: 0 },
    cacheFolder: options.cacheFolder ?? defaultCacheFolder(),
    shared: new Map(),
    failed: new Map(),
    told: new Set(),
    wanted: new Map(),
    measured: options.measure ? new Map() : undefined,
    fingerprints: createFingerprints(options.cacheFolder ?? defaultCacheFolder()),
    async run<T extends Task>(task: T): Promise<ResultOf<T>> {
      if (count > 0) await loadCodec();
      if (closed) throw new PupilError('interrupted', 'the image workers are closed');
      const ready = { ...(await arrived(task, readAhead)), room };
      if (closed) throw new PupilError('interrupted', 'the image workers are closed');
      if (count === 0) return execute(ready);
      threads ??= createThreads(count);
      return threads.run(ready);
    },
    async close() {
      closed = true;
      readAhead.close();
      await bringer.close();
      await threads?.close();
    },
  };
}

interface Threads {
  run<T extends Task>(task: T): Promise<ResultOf<T>>;
  close(): Promise<void>;
}

/**
 * Threads that take tasks from one queue, one at a time each; they start when there is work for
 * them, so that one that died is replaced.
 */
function createThreads(most: number): Threads {
  const queue: Job[] = [],
    unanswered = new Set<Job>();
  const all = new Set<Thread<Task>>(),
    idle: Thread<Task>[] = [];

  const start = (): Thread<Task> => {
    const thread = startThread<Task>({ url: new URL('./worker.js', import.meta.url), name: 'an image worker' });
    all.add(thread);
    void thread.ended.then(() => {
      all.delete(thread);
      if (idle.includes(thread)) idle.splice(idle.indexOf(thread), 1);
      pump();
    });
    return thread;
  };
  const work = async (thread: Thread<Task>, job: Job): Promise<void> => {
    await thread.call(job.task).then(job.resolve, job.reject);
    unanswered.delete(job);
    if (all.has(thread)) idle.push(thread);
    pump();
  };
  const pump = (): void => {
    while (queue.length > 0 && (idle.length > 0 || all.size < most)) void work(idle.shift() ?? start(), queue.shift()!);
  };
  return {
    run: <T extends Task>(task: T) =>
      new Promise<ResultOf<T>>((resolve, reject) => {
        const job: Job = { task, resolve: resolve as Job['resolve'], reject };
        unanswered.add(job);
        queue.push(job);
        pump();
      }),
    async close() {
      const error = new PupilError('interrupted', 'the image workers were closed while work was waiting');
      queue.length = 0;
      for (const { reject } of unanswered) reject(error);
      await Promise.all([...all].map((thread) => thread.end()));
    },
  };
}
