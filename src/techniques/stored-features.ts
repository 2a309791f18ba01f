import { join } from 'node:path';
import { openFeatureStore, type FeatureStore, type LayerRows } from '../artifact/feature-store.js';
import { createEvaluationLoader } from '../data/loader.js';
import type { PreparedImages } from '../data/prepare.js';
import { targetKey } from '../data/target.js';
import type { Engine } from '../engine/engine.js';
import { subgraph } from '../graph/passes.js';
import { hashOfGraph } from '../models/hash.js';
import type { Model } from '../models/model.js';
import { compileExtractor, featureBatch, featureGraph, sizesOf, type Features } from './features.js';

export interface FeaturesWanted {
  readonly images: PreparedImages;
  /** Indexes of images. */
  readonly subset: readonly number[];
  readonly earlier?: readonly string[] | undefined;
  /** A folder of features: what is there is read, what is not is added. Undefined: nothing is kept. */
  readonly cache?: string | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Features of prepared images as evaluation sees them: what the model's head sees, then the means of
 * `earlier` values. The backbone runs once over each content that is not in the cache. Throws
 * `bad-model` for a model without a head.
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
  const store = cache === undefined ? undefined : openFeatureStore(join(cache, keyOf(engine, model, images)));
  const missing = (await store?.fill(hashes, layers)) ?? [...subset.keys()];
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
  const writer = createWriter(store, layers, hashes);
  let next = 0;
  try {
    for await (const rows of extractor.batches(loader)) {
      const batch = all.slice(next, (next += featureBatch));
      layers.forEach(({ size, features }, i) =>
        batch.forEach((same, row) => {
          for (const place of same) features.set(rows[i]!.subarray(row * size, (row + 1) * size), place * size);
        }),
      );
      await writer.add(batch.map(([place]) => place!));
      onProgress?.((done += batch.flat().length), subset.length);
      signal?.throwIfAborted();
    }
  } finally {
    await writer.flush();
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
