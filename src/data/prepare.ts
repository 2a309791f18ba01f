import type { Image } from '../image/image.js';
import type { Item, Location } from './batch.js';
import { cachedFile, pruneCache, writeCached } from './disk-cache.js';
import type { Pool } from './pool.js';
import type { Sample, Unreadable } from './sample.js';
import { targetKey, type Target } from './target.js';
import { execute, type Decoded, type Output, type OutputRequest } from './task.js';

export interface PrepareOptions {
  readonly pool: Pool;
  /** Called as images are decoded, with how many of all different ones. */
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
  /**
   * Images stay until the pool is closed, and later calls that share them do not decode them again:
   * for the trainings of a job.
   */
  readonly share?: boolean;
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

/** Images that are not kept: each is decoded when it is needed. For those that are looked at once. */
export const unprepared = (
  samples: readonly Sample[],
  { target, pool }: Pick<PreparedImages, 'target' | 'pool'>,
): PreparedImages => ({
  samples,
  locations: samples.map(({ path, source }) => ({ kind: 'source', item: { path, source } })),
  unreadable: [],
  target,
  pool,
  held: { memory: 0, disk: 0, source: samples.length },
  close: () => undefined,
});

/** One set of images under way. */
interface ImageSet {
  readonly samples: readonly Sample[];
  readonly target: Target;
  /** Names its files in the cache. */
  readonly key: string;
  readonly shelf: Shelf;
}

/** One content, the sets that it is still to be decoded for, and where it is kept for each. */
interface Content {
  readonly sample: Sample;
  readonly sets: ImageSet[];
  readonly places: Map<ImageSet, Location>;
  error?: string;
}

const slabSize = 32 * 2 ** 20;
const chunkSize = 16;

/** Shared memory for images, slab after slab, as long as the pool's limit allows. */
interface Shelf {
  /** Copies the image there; undefined when the limit is reached. */
  put(image: Image): Location | undefined;
  full(): boolean;
  release(): void;
}

function createShelf(pool: Pool): Shelf {
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
  { pool, onProgress, signal, share = false }: PrepareOptions,
): Promise<PreparedImages[]> {
  const sets = requests.map(({ samples, target }): ImageSet => ({
    samples,
    target,
    key: targetKey(target),
    shelf: createShelf(pool),
  }));
  const contents = contentsOf(sets);
  if (share) takeShared(contents, pool);
  const all = [...contents.values()].filter(({ sets: missing }) => missing.length > 0);
  let pruned = false,
    next = 0,
    done = contents.size - all.length;
  if (done > 0) onProgress?.(done, contents.size);
  await pool.fingerprints.load(contents.keys());
  const lane = async (): Promise<void> => {
    while (next < all.length) {
      signal?.throwIfAborted();
      const chunk = all.slice(next, (next += chunkSize));
      if (pool.disk.used < pool.disk.limit && !pruned && sets.some(({ shelf }) => shelf.full())) {
        pruned = true;
        await pruneCache(pool.cacheFolder, pool.disk.limit);
      }
      await decodeChunk(chunk, pool);
      done += chunk.length;
      onProgress?.(done, contents.size);
    }
  };
  const lanes = await Promise.allSettled(Array.from({ length: Math.max(1, pool.workers * 2) }, lane));
  await pool.fingerprints.save();
  const failed = lanes.find((result) => result.status === 'rejected');
  if (share) for (const content of all) giveShared(content, pool);
  if (failed !== undefined) {
    if (!share) for (const { shelf } of sets) shelf.release();
    throw failed.reason;
  }
  return sets.map((set) => ({
    ...preparedOf(set, contents, pool),
    close: () => {
      if (!share) set.shelf.release();
    },
  }));
}

const sharedName = ({ sample }: Content, { key }: ImageSet): string => `${sample.hash}-${key}`;

/** Contents that were shared before have their places already. */
function takeShared(contents: ReadonlyMap<string, Content>, { shared }: Pool): void {
  for (const content of contents.values())
    for (const set of [...content.sets]) {
      const place = shared.get(sharedName(content, set));
      if (place === undefined) continue;
      content.places.set(set, place);
      content.sets.splice(content.sets.indexOf(set), 1);
    }
}

function giveShared(content: Content, { shared }: Pool): void {
  for (const [set, place] of content.places) if (place.kind !== 'source') shared.set(sharedName(content, set), place);
}

/** The different contents of all sets, by hash: each is decoded and kept once. */
function contentsOf(sets: readonly ImageSet[]): Map<string, Content> {
  const contents = new Map<string, Content>();
  for (const set of sets) {
    for (const sample of set.samples) {
      const content = contents.get(sample.hash);
      if (content === undefined) contents.set(sample.hash, { sample, sets: [set], places: new Map() });
      else if (!content.sets.includes(set)) content.sets.push(set);
    }
  }
  return contents;
}

/** Remembers what was seen of an image when it was decoded. */
export function note({ hash }: Sample, result: Decoded, { fingerprints, measured }: Pool): void {
  if ('error' in result) return;
  const { print, size, contrast } = result;
  if (print !== undefined) fingerprints.put(hash, print);
  if (size !== undefined && contrast !== undefined) measured?.set(hash, { ...size, contrast });
}

/** Decodes some contents and finds each its place in every one of its sets, or its error. */
async function decodeChunk(chunk: readonly Content[], pool: Pool): Promise<void> {
  const spill = pool.disk.used < pool.disk.limit;
  const fileOf = ({ sample }: Content, { key }: ImageSet): string => cachedFile(pool.cacheFolder, sample.hash, key);
  // Once a set's memory is full, its images go to files; without room there, they are not made.
  const requests = chunk.map((content) =>
    content.sets
      .filter(({ shelf }) => spill || !shelf.full())
      .map((set) => ({ set, file: set.shelf.full() ? fileOf(content, set) : undefined })),
  );
  const items = chunk.map(({ sample: { path, source, hash } }, i) => ({
    path,
    source,
    print: source.kind !== 'pixels' && pool.fingerprints.get(hash) === undefined,
    measure: pool.measured !== undefined,
    outputs: requests[i]!.map(({ set: { target }, file }): OutputRequest => ({ target, file })),
  }));
  // Pixels that are in memory here are not worth sending to a worker.
  const inMemory = chunk.every(({ sample }) => sample.source.kind === 'pixels');
  const results = await (inMemory ? execute({ kind: 'decode', items }) : pool.run({ kind: 'decode', items }));
  for (const [i, content] of chunk.entries()) {
    const result = results[i]!;
    if ('error' in result) {
      content.error = result.error;
      continue;
    }
    note(content.sample, result, pool);
    const item = { path: content.sample.path, source: content.sample.source };
    for (const set of content.sets) {
      const output = result.outputs[requests[i]!.findIndex((request) => request.set === set)] ?? {};
      content.places.set(set, await keep(output, set.shelf, fileOf(content, set), { item, pool }));
    }
  }
}

/** Puts a decoded image on the shelf, else into its file, else leaves it at its source. */
async function keep(
  { image, stored }: Output,
  shelf: Shelf,
  file: string,
  { item, pool }: { readonly item: Item; readonly pool: Pool },
): Promise<Location> {
  const place = image && shelf.put(image);
  if (place !== undefined) return place;
  let bytes = stored;
  if (image !== undefined && pool.disk.used < pool.disk.limit && (await writeCached(file, image)))
    bytes = image.data.length;
  if (bytes === undefined) return { kind: 'source', item };
  pool.disk.used += bytes;
  return { kind: 'disk', file, item };
}

/** What became of a set. */
function preparedOf(set: ImageSet, contents: ReadonlyMap<string, Content>, pool: Pool): Omit<PreparedImages, 'close'> {
  const samples: Sample[] = [],
    locations: Location[] = [],
    unreadable: Unreadable[] = [];
  const held = { memory: 0, disk: 0, source: 0 };
  for (const sample of set.samples) {
    const { error, places } = contents.get(sample.hash)!;
    const place = places.get(set);
    if (place === undefined) unreadable.push({ path: sample.path, reason: error ?? 'cannot be decoded' });
    else {
      samples.push(sample);
      locations.push(place);
      held[place.kind]++;
    }
  }
  return { samples, locations, unreadable, target: set.target, pool, held };
}

/**
 * Makes the fingerprints of samples that have none yet, from pictures decoded no larger than that
 * needs.
 */
export async function makeFingerprints(
  samples: readonly Sample[],
  { pool, onProgress, signal }: Omit<PrepareOptions, 'share'>,
): Promise<void> {
  const { fingerprints } = pool;
  const files = [...new Map(samples.map((sample) => [sample.hash, sample])).values()].filter(
    ({ source }) => source.kind !== 'pixels',
  );
  await fingerprints.load(files.map(({ hash }) => hash));
  const missing = files.filter(({ hash }) => fingerprints.get(hash) === undefined);
  let next = 0,
    done = 0;
  const lane = async (): Promise<void> => {
    while (next < missing.length) {
      signal?.throwIfAborted();
      const chunk = missing.slice(next, (next += chunkSize));
      const items = chunk.map(({ path, source }) => ({ path, source, print: true }));
      const results = await pool.run({ kind: 'decode', items, printsOnly: true });
      for (const [i, result] of results.entries()) note(chunk[i]!, result, pool);
      done += chunk.length;
      onProgress?.(done, missing.length);
    }
  };
  await Promise.all(Array.from({ length: Math.max(1, pool.workers * 2) }, lane));
  await fingerprints.save();
}
