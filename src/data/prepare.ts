import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Item, Location } from './batch.js';
import { cachedFile, pruneCache, writeCached } from './disk-cache.js';
import type { Pool } from './pool.js';
import type { Sample, Unreadable } from './sample.js';
import { createShelf, type Shelf } from './shelf.js';
import { decodedBytes, targetKey, type Target } from './target.js';
import { execute, type Decoded, type Output, type OutputRequest } from './task.js';

export interface PrepareOptions {
  readonly pool: Pool;
  /** Called as images are decoded, with how many of all different ones. */
  readonly onProgress?: (done: number, total: number) => void;
  readonly signal?: AbortSignal;
  /**
   * Images stay until the pool is closed, and in the disk cache after that: later calls that share them, also of
   * other commands, do not decode them again. One that is decoded is made at all sizes that are wanted of it
   * (`wantSizes`).
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

/**
 * Images for which nothing is decoded in advance: one that was kept at that size is found, another is decoded when
 * it is needed. For those that are looked at once.
 */
export const unprepared = (
  samples: readonly Sample[],
  { target, pool }: Pick<PreparedImages, 'target' | 'pool'>,
): PreparedImages => {
  const key = targetKey(target);
  const locations = samples.map(({ path, source, hash }): Location => {
    const item = { path, source };
    const other: Location =
      source.kind === 'pixels'
        ? { kind: 'source', item }
        : { kind: 'disk', file: cachedFile(pool.cacheFolder, hash, key), item };
    return pool.shared.get(sharedName(hash, key)) ?? other;
  });
  const held = { memory: 0, disk: 0, source: 0 };
  for (const { kind } of locations) held[kind]++;
  return { samples, locations, unreadable: [], target, pool, held, close: () => undefined };
};

/** Images, and the sizes at which a job is going to want them. */
export interface WantedSizes {
  readonly samples: readonly Sample[];
  readonly targets: readonly Target[];
}

/**
 * Says at which sizes a job is going to want images, so that each is made at all of them when it is decoded first.
 * Where they would not fit in the pool's memory and on its disk, room is left to those that are asked for first.
 */
export function wantSizes(pool: Pool, wanted: readonly WantedSizes[]): void {
  const bytesOf = ({ samples, targets }: WantedSizes): number =>
    samples.length * targets.reduce((sum, target) => sum + decodedBytes(target), 0);
  const bytes = wanted.reduce((sum, one) => sum + bytesOf(one), 0);
  if (bytes > pool.memory.limit + pool.disk.limit) return;
  for (const { samples, targets } of wanted) for (const { hash } of samples) pool.wanted.set(hash, targets);
}

/** One set of images under way. */
interface ImageSet {
  readonly target: Target;
  /** Names its files in the cache. */
  readonly key: string;
  readonly shelf: Shelf;
}

/** One content, the sets that it is still to be decoded for, and where it is kept for each. */
interface Content {
  readonly sample: Sample;
  readonly sets: ImageSet[];
  /** Made along where it is decoded. */
  readonly more: ImageSet[];
  readonly places: Map<ImageSet, Location>;
  error?: string | undefined;
}

const contentOf = (sample: Sample): Content => ({ sample, sets: [], more: [], places: new Map() });

const chunkSize = 16;

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
  { share = false, ...options }: PrepareOptions,
): Promise<PreparedImages[]> {
  const { pool } = options;
  const sets = requests.map(({ target }) => setAt(target, share ? sharedShelf(pool) : createShelf(pool)));
  const contents = new Map<string, Content>();
  for (const [i, { samples }] of requests.entries())
    for (const sample of samples) {
      const content = contents.get(sample.hash) ?? contentOf(sample);
      contents.set(sample.hash, content);
      if (!content.sets.includes(sets[i]!)) content.sets.push(sets[i]!);
    }
  const all = [...contents.values()];
  if (share) for (const content of all) takeShared(content, pool);
  try {
    await decodeContents(all, { ...options, share });
  } catch (error) {
    if (!share) for (const { shelf } of sets) shelf.release();
    throw error;
  }
  return requests.map(({ samples, target }, i) => ({
    ...preparedOf(samples, sets[i]!, contents),
    target,
    pool,
    close: () => {
      if (!share) sets[i]!.shelf.release();
    },
  }));
}

const setAt = (target: Target, shelf: Shelf): ImageSet => ({ target, key: targetKey(target), shelf });

const shelves = new WeakMap<Pool, Shelf>();

/** The shelf of all images that are shared. */
function sharedShelf(pool: Pool): Shelf {
  const shelf = shelves.get(pool) ?? createShelf(pool);
  shelves.set(pool, shelf);
  return shelf;
}

interface DecodeOptions extends PrepareOptions {
  readonly share: boolean;
  /** Of each the fingerprint is made, and what else is wanted along with it. */
  readonly prints?: boolean;
}

/** Decodes what is in no place yet, in parallel. Progress counts all. */
async function decodeContents(all: readonly Content[], options: DecodeOptions): Promise<void> {
  const { pool, share, prints = false, onProgress, signal } = options;
  const missing = all.filter(({ sets, error }) => error === undefined && (prints || sets.length > 0));
  if (share) for (const content of missing) addWanted(content, pool);
  let next = 0,
    done = all.length - missing.length;
  if (done > 0) onProgress?.(done, all.length);
  await pool.fingerprints.load(all.map(({ sample }) => sample.hash));
  if (missing.length > 0) await leaveRoom(pool);
  const pruned = share && missing.some(({ sample }) => sample.source.kind !== 'pixels') ? prune(pool) : undefined;
  const lane = async (): Promise<void> => {
    while (next < missing.length) {
      signal?.throwIfAborted();
      const chunk = missing.slice(next, (next += chunkSize));
      if (hasRoom(pool) && chunk.some(({ sets }) => sets.some(({ shelf }) => shelf.full()))) await prune(pool);
      await decodeChunk(chunk, { pool, share, prints });
      done += chunk.length;
      onProgress?.(done, all.length);
    }
  };
  const lanes = await Promise.allSettled([pruned, ...Array.from({ length: Math.max(1, pool.workers * 2) }, lane)]);
  await pool.fingerprints.save();
  if (share) for (const content of missing) giveShared(content, pool);
  const failed = lanes.find((result) => result.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}

const hasRoom = ({ disk }: Pool): boolean => disk.used < disk.limit;

const prunings = new WeakMap<Pool, Promise<void>>();

/** Makes room in the cache, once for a pool. */
function prune(pool: Pool): Promise<void> {
  const pruning = prunings.get(pool) ?? (hasRoom(pool) ? pruneCache(pool.cacheFolder, pool.disk.limit) : undefined);
  if (pruning !== undefined) prunings.set(pool, pruning);
  return pruning ?? Promise.resolve();
}

/** Half of what is free on the disk is left to others. */
async function leaveRoom({ disk, cacheFolder }: Pool): Promise<void> {
  for (let folder = cacheFolder; ; folder = dirname(folder)) {
    const free = await statfs(folder).then(
      ({ bavail, bsize }) => bavail * bsize,
      () => undefined,
    );
    if (free !== undefined) disk.limit = Math.min(disk.limit, disk.used + free / 2);
    if (free !== undefined || dirname(folder) === folder) return;
  }
}

const sharedName = (hash: string, key: string): string => `${hash}-${key}`;

/** A content that was shared before has its places, or what is wrong with it. */
function takeShared(content: Content, { shared, failed }: Pool): void {
  const { hash } = content.sample;
  content.error = failed.get(hash);
  for (const set of [...content.sets]) {
    const place = shared.get(sharedName(hash, set.key));
    if (place === undefined) continue;
    content.places.set(set, place);
    content.sets.splice(content.sets.indexOf(set), 1);
  }
}

/** Sizes that are wanted of it later on and are not there yet. */
function addWanted({ sample: { hash }, sets, more }: Content, pool: Pool): void {
  for (const target of pool.wanted.get(hash) ?? []) {
    const set = setAt(target, sharedShelf(pool));
    if (![...sets, ...more].some(({ key }) => key === set.key) && !pool.shared.has(sharedName(hash, set.key)))
      more.push(set);
  }
}

function giveShared({ sample: { hash }, places, error }: Content, { shared, failed }: Pool): void {
  if (error !== undefined) failed.set(hash, error);
  for (const [{ key }, place] of places) if (place.kind !== 'source') shared.set(sharedName(hash, key), place);
}

/** Remembers what was seen of an image when it was decoded. */
export function note({ hash }: Sample, result: Decoded, { fingerprints, measured }: Pool): void {
  if ('error' in result) return;
  const { print, size, contrast } = result;
  if (print !== undefined) fingerprints.put(hash, print);
  if (size !== undefined && contrast !== undefined) measured?.set(hash, { ...size, contrast });
}

/** Decodes some contents and finds each its place in every one of its sets, or its error. */
async function decodeChunk(
  chunk: readonly Content[],
  { pool, share, prints }: Pick<DecodeOptions, 'pool' | 'share' | 'prints'>,
): Promise<void> {
  const requests = chunk.map(({ sample: { hash, source }, sets, more }) =>
    [...sets, ...more].flatMap((set, i) => {
      const isFull = set.shelf.full();
      // Once memory is full, images go to files; without room there, they are not made.
      if (isFull && !hasRoom(pool)) return [];
      const isKept = isFull || (share && source.kind !== 'pixels' && hasRoom(pool));
      const file = isKept ? cachedFile(pool.cacheFolder, hash, set.key) : undefined;
      const request: OutputRequest = { target: set.target, file, onlyFile: isFull, optional: i >= sets.length };
      return [{ set, request }];
    }),
  );
  const items = chunk.map(({ sample: { path, source, hash } }, i) => ({
    path,
    source,
    print: prints ? ('required' as const) : source.kind !== 'pixels' && pool.fingerprints.get(hash) === undefined,
    measure: pool.measured?.has(hash) === false,
    outputs: requests[i]!.map(({ request }) => request),
  }));
  // Pixels that are in memory here are not worth sending to a worker.
  const inMemory = chunk.every(({ sample }) => sample.source.kind === 'pixels');
  const task = { kind: 'decode', items, printsOnly: prints } as const;
  const results = await (inMemory ? execute(task) : pool.run(task));
  for (const [i, content] of chunk.entries()) {
    const result = results[i]!;
    if ('error' in result) {
      content.error = result.error;
      continue;
    }
    note(content.sample, result, pool);
    const item = { path: content.sample.path, source: content.sample.source };
    for (const [k, { set }] of requests[i]!.entries()) {
      const place = await keep(result.outputs[k]!, set, { hash: content.sample.hash, item, pool });
      if (place !== undefined) content.places.set(set, place);
    }
    for (const set of content.sets) if (!content.places.has(set)) content.places.set(set, { kind: 'source', item });
  }
}

/** Puts a decoded image on the shelf, else into its file; undefined: it stays at its source. */
async function keep(
  { image, stored }: Output,
  { shelf, key }: ImageSet,
  { hash, item, pool }: { readonly hash: string; readonly item: Item; readonly pool: Pool },
): Promise<Location | undefined> {
  const place = image && shelf.put(image);
  const file = cachedFile(pool.cacheFolder, hash, key);
  const isLeft = image !== undefined && place === undefined && stored === undefined && hasRoom(pool);
  const bytes = isLeft && (await writeCached(file, image)) ? image.data.length : stored;
  pool.disk.used += bytes ?? 0;
  return place ?? (bytes === undefined ? undefined : { kind: 'disk', file, item });
}

/** What became of a set. */
function preparedOf(
  all: readonly Sample[],
  set: ImageSet,
  contents: ReadonlyMap<string, Content>,
): Pick<PreparedImages, 'samples' | 'locations' | 'unreadable' | 'held'> {
  const samples: Sample[] = [],
    locations: Location[] = [],
    unreadable: Unreadable[] = [];
  const held = { memory: 0, disk: 0, source: 0 };
  for (const sample of all) {
    const { error, places } = contents.get(sample.hash)!;
    const place = places.get(set);
    if (place === undefined) unreadable.push({ path: sample.path, reason: error ?? 'cannot be decoded' });
    else {
      samples.push(sample);
      locations.push(place);
      held[place.kind]++;
    }
  }
  return { samples, locations, unreadable, held };
}

/**
 * Makes the fingerprints of samples that have none yet: from pictures decoded no larger than that needs, but where
 * the same images are wanted at some sizes (`wantSizes`) at these too.
 */
export async function makeFingerprints(
  samples: readonly Sample[],
  options: Omit<PrepareOptions, 'share'>,
): Promise<void> {
  const { fingerprints } = options.pool;
  const files = [...new Map(samples.map((sample) => [sample.hash, sample])).values()].filter(
    ({ source }) => source.kind !== 'pixels',
  );
  await fingerprints.load(files.map(({ hash }) => hash));
  const missing = files.filter(({ hash }) => fingerprints.get(hash) === undefined).map(contentOf);
  await decodeContents(missing, { ...options, share: true, prints: true });
}
