import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { openFeatureStore, type FeatureStore, type LayerRows } from '../artifact/feature-store.js';
import { createEvaluationLoader, type Loader } from '../data/loader.js';
import type { PreparedImages } from '../data/prepare.js';
import { targetKey } from '../data/target.js';
import { PupilError } from '../errors.js';
import type { Engine } from '../engine/engine.js';
import { forNetworkOf } from '../engine/foreign.js';
import type { Graph } from '../graph/graph.js';
import { bindInputs, foldConstants, prune, subgraph } from '../graph/passes.js';
import type { Model } from '../models/model.js';
import { tensor } from '../tensor.js';
import { buildFeatures } from '../train/evaluation.js';

/** What a model's head sees of images, row-major [count, size]. */
export interface Features {
  readonly features: Float32Array;
  readonly size: number;
}

/** A backbone that is ready to run. */
export interface FeatureExtractor {
  /** Numbers of an image: what the head sees. */
  readonly size: number;
  /** The same of every layer, the head's first. */
  readonly sizes: readonly number[];
  /** Features of the images of one epoch of a loader, in its order: what the head sees. */
  extract(loader: Loader, epoch?: number, onProgress?: (done: number, total: number) => void): Promise<Float32Array>;
  /** Batch after batch, the rows of every layer. Throws `bad-model` for features that are not finite. */
  batches(loader: Loader, epoch?: number): AsyncGenerator<readonly Float32Array[], void, undefined>;
  close(): Promise<void>;
}

/**
 * Images that a backbone sees at once. Smaller batches are filled up: engines round otherwise for
 * other sizes, and the features of an image must not depend on what else is computed.
 */
export const featureBatch = 32;

/**
 * The model without its head, its weights folded in, with the means of `earlier` values beside the
 * features. Throws `bad-model` for a model without a head.
 */
export function featureGraph(model: Model, earlier: readonly string[] = []): Graph {
  const { graph } = buildFeatures(model, {}, earlier);
  // The head's own parameters are not part of it.
  const weights = new Map(
    graph.inputs.flatMap(({ name }) => {
      const value = model.parameters.get(name);
      return value ? [[name, value] as const] : [];
    }),
  );
  return prune(foldConstants(bindInputs(graph, weights)));
}

/** Throws `bad-model` where a network overflows: what is computed from its features would be nonsense. */
function finite(rows: Float32Array): Float32Array {
  if (rows.every(Number.isFinite)) return rows;
  throw new PupilError(
    'bad-model',
    "the model's features of some images are not finite numbers; is `normalize` right for it?",
    { option: 'normalize' },
  );
}

const sizesOf = ({ outputs, values }: Graph): number[] => outputs.map((name) => Number(values.get(name)!.shape[1]));

/**
 * Compiles the model without its head, and with some `earlier` values. Throws `bad-model` for a model
 * without a head.
 */
export const openExtractor = (
  engine: Engine,
  model: Model,
  earlier: readonly string[] = [],
): Promise<FeatureExtractor> =>
  compileExtractor(model.pretrained ? forNetworkOf(model.architecture, engine) : engine, featureGraph(model, earlier));

/** Compiles a `featureGraph`. Batches of its loaders hold at most `featureBatch` images. */
async function compileExtractor(engine: Engine, graph: Graph): Promise<FeatureExtractor> {
  const program = await engine.compile(graph, { inference: true });
  const sizes = sizesOf(graph);
  const size = sizes[0]!;
  const extractor: FeatureExtractor = {
    size,
    sizes,
    async *batches(loader, epoch = 0) {
      for await (const { pixels, count, height, width } of loader.batches(epoch)) {
        const all = count === featureBatch ? pixels : new Uint8Array(featureBatch * height * width * 3);
        if (all !== pixels) all.set(pixels);
        const outputs = await program.run(
          { pixels: tensor('uint8', [featureBatch, height, width, 3], all) },
          { transfer: true },
        );
        const layers = graph.outputs.map((name) => outputs[name]!.data as Float32Array);
        yield layers.map((rows, i) => finite(rows.subarray(0, count * sizes[i]!)));
      }
    },
    async extract(loader, epoch, onProgress) {
      const features = new Float32Array(loader.count * size);
      let done = 0;
      for await (const [rows] of extractor.batches(loader, epoch)) {
        features.set(rows!, done * size);
        onProgress?.((done += rows!.length / size), loader.count);
      }
      return features;
    },
    close: () => program.close(),
  };
  return extractor;
}

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
  const { inputs, nodes, outputs, constants } = subgraph(graph, ['input'], [head!.features]);
  const hash = createHash('sha256');
  const put = (value: unknown): unknown => hash.update(`${JSON.stringify(value, asText)}\n`);
  put([engine, targetKey(images.target), preprocessing, inputs, nodes, outputs]);
  const weights = inputs.flatMap(({ name }) => {
    const value = parameters.get(name);
    return value === undefined ? [] : [[name, value] as const];
  });
  for (const [name, { dtype, dims, data }] of [...constants, ...weights]) {
    put([name, dtype, dims]);
    hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return hash.digest('hex').slice(0, 32);
}

/** Numbers of a tensor among attributes, which JSON cannot always hold. */
const asText = (_: string, value: unknown): unknown =>
  ArrayBuffer.isView(value) ? Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('base64') : value;
