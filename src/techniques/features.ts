import { createEvaluationLoader, type Loader } from '../data/loader.js';
import type { PreparedImages } from '../data/prepare.js';
import type { Engine } from '../engine/engine.js';
import type { Graph } from '../graph/graph.js';
import { bindInputs, foldConstants, prune } from '../graph/passes.js';
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
  /** Numbers of an image. */
  readonly size: number;
  /** Features of the images of one epoch of a loader, in its order. */
  extract(loader: Loader, epoch?: number, onProgress?: (done: number, total: number) => void): Promise<Float32Array>;
  /** The same, and the means of the earlier layers behind them. */
  extractLayers(
    loader: Loader,
    epoch?: number,
    onProgress?: (done: number, total: number) => void,
  ): Promise<Features[]>;
  close(): Promise<void>;
}

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

/**
 * Compiles the model without its head, and with some `earlier` values, as an inference-optimised
 * graph. Throws `bad-model` for a model without a head.
 */
export async function openExtractor(
  engine: Engine,
  model: Model,
  earlier: readonly string[] = [],
): Promise<FeatureExtractor> {
  const graph = featureGraph(model, earlier);
  const program = await engine.compile(graph, { inference: true });
  const sizes = graph.outputs.map((name) => Number(graph.values.get(name)!.shape[1]));
  const extractLayers: FeatureExtractor['extractLayers'] = async (loader, epoch = 0, onProgress) => {
    const layers = sizes.map((size) => ({ features: new Float32Array(loader.count * size), size }));
    let done = 0;
    for await (const { pixels, count, height, width } of loader.batches(epoch)) {
      const outputs = await program.run(
        { pixels: tensor('uint8', [count, height, width, 3], pixels) },
        { transfer: true },
      );
      layers.forEach(({ features, size }, i) =>
        features.set(outputs[graph.outputs[i]!]!.data as Float32Array, done * size),
      );
      done += count;
      onProgress?.(done, loader.count);
    }
    return layers;
  };
  return {
    size: sizes[0]!,
    extractLayers,
    extract: async (...asked) => (await extractLayers(...asked))[0]!.features,
    close: () => program.close(),
  };
}

/**
 * Runs the backbone once over prepared images, as evaluation sees them: what its head sees, then the
 * means of `earlier` values. Throws `bad-model` for a model without a head.
 */
export async function extractFeatures(
  engine: Engine,
  model: Model,
  { images, subset, earlier = [] }: FeaturesWanted,
  onProgress?: (done: number, total: number) => void,
): Promise<Features[]> {
  const extractor = await openExtractor(engine, model, earlier);
  try {
    const loader = createEvaluationLoader({ images, classes: model.head!.classes, batchSize: 32, subset });
    return await extractor.extractLayers(loader, 0, onProgress);
  } finally {
    await extractor.close();
  }
}

export interface FeaturesWanted {
  readonly images: PreparedImages;
  /** Indexes of images. */
  readonly subset: readonly number[];
  readonly earlier?: readonly string[] | undefined;
}
