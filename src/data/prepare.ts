import type { Image } from '../image/image.js';
import { cachedFile, pruneCache, writeCached } from './disk-cache.js';
import type { Pool } from './pool.js';
import type { Sample, Unreadable } from './sample.js';
import { targetKey, type Target } from './target.js';
import { execute, type DecodeTask, type Item, type Location, type Made, type Want } from './task.js';

export interface PrepareOptions {
  readonly pool: Pool;
  /** Called as images are decoded, with how many of all different ones. */
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

/** One content, the requests that want it, and where it is kept for each. */
interface Content {
  readonly sample: Sample;
  readonly wanted: number[];
  readonly places: Map<number, Location>;
  error?: string;
}

const slabSize = 32 * 2 ** 20;
const chunkSize = 16;

/** Places images in shared memory, slab after slab, as long as the pool's limit allows. */
function createShelf(pool: Pool): { put(image: Image): Location | undefined; full(): boolean; release(): void } {
  let slab: SharedArrayBuffer | undefined;
  let position = 0,
    taken = 0,
    full = false;
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
 * Decodes every image once, in parallel, and keeps it at `target` size: in memory shared with the
 * workers up to the pool's limit, then in files of the cache folder, named by content; when the
 * disk refuses too, an image is decoded again whenever it is needed. Files that cannot be decoded
 * are left out and listed.
 */
export async function prepareImages(
  samples: readonly Sample[],
  { target, ...options }: PrepareOptions & { readonly target: Target },
): Promise<PreparedImages> {
  const [images] = await prepareTogether([{ samples, target }], options);
  return images!;
}

/**
 * `prepareImages` for several sets and sizes at once; an image that is in more than one is decoded
 * once.
 */
export async function prepareTogether(
  requests: readonly { readonly samples: readonly Sample[]; readonly target: Target }[],
  { pool, onProgress, signal }: PrepareOptions,
): Promise<PreparedImages[]> {
  const shelves = requests.map(() => createShelf(pool));
  const keys = requests.map(({ target }) => targetKey(target));
  // The same content is decoded and kept once.
  const contents = new Map<string, Content>();
  requests.forEach(({ samples }, request) => {
    for (const sample of samples) {
      const content = contents.get(sample.hash);
      if (content === undefined) contents.set(sample.hash, { sample, wanted: [request], places: new Map() });
      else if (!content.wanted.includes(request)) content.wanted.push(request);
    }
  });
  const all = [...contents.values()];
  let pruned = false,
    next = 0,
    done = 0;

  const keep = async (request: number, made: Made, file: string, item: Item): Promise<Location> => {
    const shelf = shelves[request]!;
    const place = made.image && shelf.put(made.image);
    if (place !== undefined) return place;
    let { stored } = made;
    if (made.image !== undefined && pool.disk.used < pool.disk.limit && (await writeCached(file, made.image)))
      stored = made.image.data.length;
    if (stored === undefined) return { kind: 'source', item };
    pool.disk.used += stored;
    return { kind: 'disk', file, item };
  };

  const lane = async (): Promise<void> => {
    while (next < all.length) {
      signal?.throwIfAborted();
      const chunk = all.slice(next, (next += chunkSize));
      const spill = pool.disk.used < pool.disk.limit;
      if (spill && !pruned && shelves.some((shelf) => shelf.full())) {
        pruned = true;
        await pruneCache(pool.cacheFolder, pool.disk.limit);
      }
      const fileOf = ({ sample }: Content, request: number): string =>
        cachedFile(pool.cacheFolder, sample.hash, keys[request]!);
      const wantsOf = (content: Content): { request: number; want: Want }[] =>
        content.wanted.flatMap((request) => {
          const { target } = requests[request]!;
          if (!shelves[request]!.full()) return { request, want: { target } };
          return spill ? { request, want: { target, file: fileOf(content, request) } } : [];
        });
      const wants = chunk.map(wantsOf);
      const task: DecodeTask = {
        kind: 'decode',
        items: chunk.map(({ sample: { path, source } }, i) => ({
          path,
          source,
          wants: wants[i]!.map(({ want }) => want),
        })),
      };
      // Pixels that are in memory here are not worth sending to a worker.
      const results = await (chunk.every(({ sample }) => sample.source.kind === 'pixels')
        ? execute(task)
        : pool.run(task));
      for (const [i, content] of chunk.entries()) {
        const result = results[i]!;
        const item: Item = { path: content.sample.path, source: content.sample.source };
        if ('error' in result) content.error = result.error;
        else {
          for (const request of content.wanted) {
            const made = result.made[wants[i]!.findIndex((want) => want.request === request)] ?? {};
            content.places.set(request, await keep(request, made, fileOf(content, request), item));
          }
        }
      }
      done += chunk.length;
      onProgress?.(done, all.length);
    }
  };
  const lanes = await Promise.allSettled(Array.from({ length: Math.max(1, pool.workers * 2) }, lane));
  const failed = lanes.find((result) => result.status === 'rejected');
  if (failed !== undefined) {
    for (const shelf of shelves) shelf.release();
    throw failed.reason;
  }

  return requests.map(({ samples, target }, request) => {
    const readable: Sample[] = [],
      locations: Location[] = [],
      unreadable: Unreadable[] = [];
    const held = { memory: 0, disk: 0, source: 0 };
    for (const sample of samples) {
      const { error, places } = contents.get(sample.hash)!;
      const place = places.get(request);
      if (place === undefined) unreadable.push({ path: sample.path, reason: error ?? 'cannot be decoded' });
      else {
        readable.push(sample);
        locations.push(place);
        held[place.kind]++;
      }
    }
    return { samples: readable, locations, unreadable, target, pool, held, close: () => shelves[request]!.release() };
  });
}
