/** Finds the images of a folder in a thread, and takes them over in small pieces: meanwhile the server answers. */
import { setImmediate } from 'node:timers/promises';
import type { Sample } from '../data/sample.js';
import { startThread, type Thread } from '../threads/thread.js';
import { watchProgress } from './shared-progress.js';

/** Images that are handled between two moments at which the server answers requests. */
export const rowsAtOnce = 500;

/** A file of the folder: an image, or one that means to be an image and cannot be read. */
export interface Row {
  /** Relative to the folder, with `/`. */
  readonly name: string;
  /** The class that its folder says. */
  readonly className?: string | undefined;
  readonly image: Sample | { readonly problem: string };
}

export interface Scanned {
  readonly rows: number;
  /** What a person should know of the folders; null where there are none. */
  readonly note: string | null;
}

export type ScanRequest =
  | { readonly kind: 'scan'; readonly root: string; readonly progress: Int32Array }
  | { readonly kind: 'rows'; readonly from: number; readonly count: number };

export interface Scanner {
  /** What is in the folder now; `take` is given its rows, some at a time. Throws `not-found`. */
  scan(root: string, hear: ScanListener): Promise<Scanned>;
  /** Ends what is under way, which fails. */
  close(): Promise<void>;
}

export interface ScanListener {
  readonly report: (done: number, total: number) => void;
  readonly take: (rows: readonly Row[]) => void;
}

export function createScanner(): Scanner {
  let thread: Thread<ScanRequest> | undefined;
  return {
    async scan(root, { report, take }) {
      const own = (thread = startThread<ScanRequest>({
        url: new URL('./scan-worker.js', import.meta.url),
        name: 'the scan of the folder',
      }));
      // What was found is still to be taken over: the end is told by who waits for that.
      const progress = watchProgress((done, total) => report(Math.min(done, total - 1), total));
      try {
        const scanned = await own.call<Scanned>({ kind: 'scan', root, progress: progress.memory });
        for (let from = 0; from < scanned.rows; from += rowsAtOnce) {
          take(await own.call<Row[]>({ kind: 'rows', from, count: rowsAtOnce }));
          await setImmediate();
        }
        return scanned;
      } finally {
        progress.stop();
        await own.end();
      }
    },
    async close() {
      await thread?.end();
    },
  };
}

/** `items`, with a moment after every few of them at which the server answers requests. */
export async function* inPieces<T>(items: Iterable<T>): AsyncGenerator<T, void, undefined> {
  let count = 0;
  for (const item of items) {
    yield item;
    if (++count % rowsAtOnce === 0) await setImmediate();
  }
}
