import type { Image } from '../image/image.js';
import { cachedFile, pruneCache, writeCached } from './disk-cache.js';
import type { Pool } from './pool.js';
import type { Sample, Unreadable } from './sample.js';
import { targetKey, type Target } from './target.js';
import { execute, type DecodeTask, type Location } from './task.js';

export interface PrepareOptions {
  readonly pool: Pool;
  readonly target: Target;
  /** Called as images are done, with how many. */
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
}

/** Images that were decoded once and are kept at their target's size. */
export interface PreparedImages {
  /** Those that could be decoded, in the order given. */
  readonly samples: readonly Sample[];
  /** Where each of `samples` is. */
  readonly locations: readonly Location[];
  /** Files that cannot be decoded, to be reported; they are not in `samples`. */
  readonly unreadable: readonly Unreadable[];
  readonly target: Target;
  readonly pool: Pool;
  /** How many images are held where. */
  readonly held: { readonly memory: number; readonly disk: number; readonly source: number };
  /** Gives the memory back to the pool. */
  close(): void;
}

const slabSize = 32 * 2 ** 20;

/** Places images in shared memory, slab after slab, as long as the pool's limit allows. */
function createShelf(pool: Pool): { put(image: Image): Location | undefined; full(): boolean; release(): void } {
  let slab: SharedArrayBuffer | undefined;
  let position = 0, taken = 0, full = false;
  return {
    put({ width, height, data }) {
      if (slab === undefined || position + data.length > slab.byteLength) {
        // The last slab before the limit is cut to what is left of it.
        const left = pool.memory.limit - pool.memory.used;
        const size = Math.max(data.length, Math.min(slabSize, left));
        if (size > left) {
          full = true;
          return undefined;
        }
        slab = new SharedArrayBuffer(size);
        position = 0;
        pool.memory.used += size;
        taken += size;
      }
      new Uint8Array(slab, position, data.length).set(data);
      const location: Location = { kind: 'memory', pixels: slab, offset: position, width, height };
      position += data.length;
      return location;
    },
    full: () => full,
    release() {
      pool.memory.used -= taken;
      taken = 0;
    },
  };
}

/**
 * Decodes every image once, in parallel, and keeps it at `target` size: in memory shared with the workers up to the pool's limit, then in
 * files of the cache folder, named by content; when the disk refuses too, an image is decoded again whenever it is needed.
 * Files that cannot be decoded are left out and listed.
 */
export async function prepareImages(samples: readonly Sample[], { pool, target, onProgress, signal }: PrepareOptions): Promise<PreparedImages> {
  const shelf = createShelf(pool);
  const key = targetKey(target);
  const found: (Location | { error: string } | undefined)[] = new Array<undefined>(samples.length).fill(undefined);
  // The same content is decoded and kept once.
  const groups = new Map<string, number[]>();
  samples.forEach(({ hash }, index) => {
    const group = groups.get(hash);
    if (group === undefined || hash === '') groups.set(hash === '' ? `#${index}` : hash, [index]);
    else group.push(index);
  });
  const unique = [...groups.values()];
  let pruned = false, done = 0;

  const chunkSize = 16;
  let next = 0;
  const lane = async (): Promise<void> => {
    while (next < unique.length) {
      signal?.throwIfAborted();
      const chunk = unique.slice(next, next + chunkSize);
      next += chunkSize;
      const items = chunk.map(([first]) => ({ path: samples[first!]!.path, source: samples[first!]!.source }));
      const files = chunk.map(([first]) => cachedFile(pool.cacheFolder, samples[first!]!.hash, key));
      const spill = shelf.full() && pool.disk.used < pool.disk.limit;
      if (spill && !pruned) {
        pruned = true;
        await pruneCache(pool.cacheFolder, pool.disk.limit);
      }
      const task: DecodeTask = { kind: 'decode', items, ...((spill || !shelf.full()) && { target }), ...(spill && { files }) };
      // Pixels that are in memory here are not worth sending to a worker.
      const decoded = await (items.every(({ source }) => source.kind === 'pixels') ? execute(task) : pool.run(task));
      for (const [i, result] of decoded.entries()) {
        const item = items[i]!, file = files[i]!;
        let place: Location | { error: string };
        if ('error' in result) place = result;
        else {
          let kept = result.image === undefined ? undefined : shelf.put(result.image);
          let stored = result.stored;
          if (kept === undefined && result.image !== undefined && pool.disk.used < pool.disk.limit && await writeCached(file, result.image)) {
            stored = result.image.data.length;
          }
          if (stored !== undefined) {
            pool.disk.used += stored;
            kept = { kind: 'disk', file, item };
          }
          place = kept ?? { kind: 'source', item };
        }
        for (const index of chunk[i]!) found[index] = place;
        done += chunk[i]!.length;
      }
      onProgress?.(done, samples.length);
    }
  };
  const lanes = await Promise.allSettled(Array.from({ length: Math.max(1, pool.workers * 2) }, lane));
  const failed = lanes.find((result) => result.status === 'rejected');
  if (failed !== undefined) {
    shelf.release();
    throw failed.reason;
  }

  const readable: Sample[] = [], locations: Location[] = [], unreadable: Unreadable[] = [];
  const held = { memory: 0, disk: 0, source: 0 };
  samples.forEach((sample, index) => {
    const place = found[index]!;
    if ('error' in place) unreadable.push({ path: sample.path, reason: place.error });
    else {
      readable.push(sample);
      locations.push(place);
      held[place.kind]++;
    }
  });
  return { samples: readable, locations, unreadable, target, pool, held, close: () => shelf.release() };
}
