import type { Loader } from '../data/loader.js';
import { PupilError } from '../errors.js';
import type { Engine } from '../engine/engine.js';
import { forNetworkOf } from '../engine/foreign.js';
import type { Graph } from '../graph/graph.js';
import type { Model } from '../models/model.js';
import { weightsInPlace } from '../models/weights-in-place.js';
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
  return weightsInPlace(buildFeatures(model, {}, earlier).graph, model);
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

/** Numbers of an image in each layer of a `featureGraph`. */
export const sizesOf = ({ outputs, values }: Graph): number[] =>
  outputs.map((name) => Number(values.get(name)!.shape[1]));

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

/**
 * Writes what an extractor says of a loader's images into rows of `layers`, the head's first, from row `first` on;
 * after each batch yields how many rows are there.
 */
export async function* fillRows(
  extractor: Pick<FeatureExtractor, 'batches'>,
  loader: Loader,
  layers: readonly Features[],
  { first = 0, epoch }: { readonly first?: number; readonly epoch?: number | undefined } = {},
): AsyncGenerator<number, void, undefined> {
  let done = first;
  for await (const rows of extractor.batches(loader, epoch)) {
    layers.forEach(({ size, features }, i) => features.set(rows[i]!, done * size));
    done += rows[0]!.length / layers[0]!.size;
    yield done;
  }
}

/** Compiles a `featureGraph`. Batches of its loaders hold at most `featureBatch` images. */
export async function compileExtractor(engine: Engine, graph: Graph): Promise<FeatureExtractor> {
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
      for await (const done of fillRows(extractor, loader, [{ features, size }], { epoch }))
        onProgress?.(done, loader.count);
      return features;
    },
    close: () => program.close(),
  };
  return extractor;
}
