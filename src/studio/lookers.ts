/** Threads that decode the images of a folder, the urgent first. */
import { availableParallelism } from 'node:os';
import { startThread, type Thread } from '../threads/thread.js';
import type { LookRequest } from './look-worker.js';

/** Which image is wanted, and whether somebody waits to see it. */
interface Wish {
  readonly key: string;
  readonly isUrgent?: boolean | undefined;
}

export function createLookers() {
  const threads: Thread<LookRequest>[] = [];
  const idle: Thread<LookRequest>[] = [];
  interface Wanted {
    readonly key: string;
    readonly isUrgent: boolean;
    readonly run: (thread: Thread<LookRequest>) => Promise<void>;
    readonly refuse: (error: Error) => void;
  }
  let queue: Wanted[] = [];
  /** Pieces of work that what is not urgent waits for. */
  let held = 0;
  const most = Math.max(1, Math.min(4, availableParallelism() - 1));
  const pump = (): void => {
    while (queue.length > 0 && (held === 0 || queue[0]!.isUrgent)) {
      if (idle.length === 0 && threads.length < most) {
        const thread = startThread<LookRequest>({
          url: new URL('./look-worker.js', import.meta.url),
          name: 'looker',
        });
        threads.push(thread);
        idle.push(thread);
      }
      const thread = idle.pop();
      if (thread === undefined) return;
      void queue
        .shift()!
        .run(thread)
        .finally(() => {
          idle.push(thread);
          pump();
        });
    }
  };
  return {
    look: <T>(request: LookRequest, { key, isUrgent = false }: Wish): Promise<T> =>
      new Promise<T>((resolve, reject) => {
        const wanted: Wanted = {
          key,
          isUrgent,
          refuse: reject,
          run: (thread) => thread.call<T>(request).then(resolve, reject),
        };
        if (isUrgent) queue.unshift(wanted);
        else queue.push(wanted);
        pump();
      }),
    hurry(key: string): void {
      const at = queue.findIndex((wanted) => wanted.key === key);
      if (at < 0) return;
      const [wanted] = queue.splice(at, 1);
      queue.unshift({ ...wanted!, isUrgent: true });
      pump();
    },
    /** While this is under way nothing begins that nobody waits to see: the disk and the processor are its own. */
    async yieldTo<T>(work: Promise<T>): Promise<T> {
      held++;
      try {
        return await work;
      } finally {
        held--;
        pump();
      }
    },
    async close(): Promise<void> {
      for (const { refuse } of queue) refuse(new Error('the studio was closed'));
      queue = [];
      await Promise.all(threads.map((thread) => thread.end()));
    },
  };
}
