import { createHash } from 'node:crypto';
import { availableParallelism, cpus } from 'node:os';
import { join } from 'node:path';
import { openFeatureCache, openFeatureStore, type FeatureStore, type LayerRows } from '../artifact/feature-store.js';
import { decodedFolder } from '../data/disk-cache.js';
import { createEvaluationLoader } from '../data/loader.js';
import type { PreparedImages } from '../data/prepare.js';
import { targetKey } from '../data/target.js';
import type { Engine } from '../engine/engine.js';
import { subgraph } from '../graph/passes.js';
import { hashOfGraph } from '../models/hash.js';
import type { Model } from '../models/model.js';
import { version } from '../version.js';
import { compileExtractor, featureBatch, featureGraph, sizesOf, type Features } from './features.js';

export interface FeaturesWanted {
  readonly images: PreparedImages;
  /** Indexes of images. */
  readonly subset: readonly number[];
  readonly earlier?: readonly string[] | undefined;
  /** A folder of features: what is there is read, what is not is added. Undefined: only commands share them. */
  readonly cache?: string | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Features of prepared images as evaluation sees them: what the model's head sees, then the means of `earlier` values.
 * The backbone runs once over each content that is neither in `cache` nor among those of other commands, in the cache
 * folder of the images' pool; what is found there is put into `cache`, so that it holds all. Throws `bad-model` for a
 * model without a head.
 */
export async function featuresOf(
  engine: Engine,
  model: Model,
  { images, subset, earlier = [], cache, onProgress, signal }: FeaturesWanted,
): Promise<Features[]> {
  const graph = featureGraph(model, earlier);
  const sizes = sizesOf(graph);
  const layers: LayerRows[] = [model.head!.features, ...earlier].map((name, i) => ({
    name,
    size: sizes[i]!,
    features: new Float32Array(subset.length * sizes[i]!),
  }));
  const hashes = subset.map((index) => images.samples[index]!.hash);
  const key = keyOf(engine, model, images);
  const own = cache === undefined ? undefined : openFeatureStore(join(cache, key)),
    shared = openShared(engine, key, images);
  const keep = { own: createWriter(own, layers, hashes), shared: createWriter(shared, layers, hashes) };
  /** Pixels that a program made are of no file that another command could read. */
  const isShared = (place: number): boolean => images.samples[subset[place]!]!.source.kind !== 'pixels';
  let missing = (await own?.fill(hashes, layers)) ?? [...subset.keys()];
  const shareable = missing.filter(isShared);
  if (shareable.length > 0) {
    const unknown = new Set(await shared.fill(hashes, layers, shareable));
    const found = shareable.filter((place) => !unknown.has(place));
    for (let at = 0; at < found.length; at += together) await keep.own.add(found.slice(at, at + together));
    await keep.own.flush();
    missing = missing.filter((place) => !isShared(place) || unknown.has(place));
  }
  let done = subset.length - missing.length;
  onProgress?.(done, subset.length);
  if (missing.length === 0) return layers;
  // Where the rows of each content belong: equal images are run once.
  const places = new Map<string, number[]>();
  for (const place of missing) {
    const same = places.get(hashes[place]!);
    if (same === undefined) places.set(hashes[place]!, [place]);
    else same.push(place);
  }
  const all = [...places.values()];
  const indexes = all.map(([place]) => subset[place!]!);
  const classes = indexes.reduce((most, index) => Math.max(most, images.samples[index]!.label + 1), 1);
  const loader = createEvaluationLoader({ images, classes, batchSize: featureBatch, subset: indexes });
  const extractor = await compileExtractor(engine, graph);
  let next = 0;
  try {
    for await (const rows of extractor.batches(loader)) {
      const batch = all.slice(next, (next += featureBatch));
      layers.forEach(({ size, features }, i) =>
        batch.forEach((same, row) => {
          for (const place of same) features.set(rows[i]!.subarray(row * size, (row + 1) * size), place * size);
        }),
      );
      const computed = batch.map(([place]) => place!);
      await keep.own.add(computed);
      await keep.shared.add(computed.filter(isShared));
      onProgress?.((done += batch.flat().length), subset.length);
      signal?.throwIfAborted();
    }
  } finally {
    await keep.own.flush();
    await keep.shared.flush();
    await extractor.close();
  }
  return layers;
}

/** Images whose features are written together, at most, and seconds between two files at most. */
const together = 4096;
const seconds = 20;

/** Puts rows of `layers` into the store, many at a time. */
function createWriter(store: FeatureStore | undefined, layers: readonly LayerRows[], hashes: readonly string[]) {
  let pending: number[] = [],
    last = performance.now();
  const flush = async (): Promise<void> => {
    if (pending.length === 0) return;
    const rows = layers.map(({ name, size, features }) => {
      const chosen = new Float32Array(pending.length * size);
      pending.forEach((place, row) => chosen.set(features.subarray(place * size, (place + 1) * size), row * size));
      return { name, size, features: chosen };
    });
    await store?.add(
      pending.map((place) => hashes[place]!),
      rows,
    );
    pending = [];
    last = performance.now();
  };
  return {
    flush,
    async add(places: readonly number[]): Promise<void> {
      if (store === undefined) return;
      pending.push(...places);
      if (pending.length >= together || performance.now() - last > 1000 * seconds) await flush();
    },
  };
}

/** Names the features of a backbone over images at that target: its graph, its weights, the engine that rounds. */
function keyOf({ name: engine }: Engine, { graph, parameters, preprocessing, head }: Model, images: PreparedImages) {
  const backbone = subgraph(graph, ['input'], [head!.features]);
  return hashOfGraph(backbone, parameters, [engine, targetKey(images.target), preprocessing]);
}

/** Where they lie in the cache folder; the number is that of their format. */
export const featuresFolder = 'features-1';

/** Bytes that features of all commands take there, at most. */
const roomForFeatures = 4 * 2 ** 30;

/**
 * Features of that key, of all commands that would compute the same bits: they depend on how images are decoded, and on
 * the library, its threads and the processor, which round.
 */
function openShared({ description }: Engine, key: string, { pool }: PreparedImages): FeatureStore {
  const computing = [version, decodedFolder, description, cpus()[0]?.model, availableParallelism()];
  const name = createHash('sha256')
    .update(JSON.stringify([key, ...computing]))
    .digest('hex')
    .slice(0, 32);
  return openFeatureCache(join(pool.cacheFolder, featuresFolder), name, Math.min(roomForFeatures, pool.disk.limit));
}
