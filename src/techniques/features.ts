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
  close(): Promise<void>;
}

/**
 * The model without its head, its weights folded in. Throws `bad-model` for a model without a head.
 */
export function featureGraph(model: Model): Graph {
  const { graph } = buildFeatures(model);
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
 * Compiles the model without its head as an inference-optimised graph. Throws `bad-model` for a
 * model without a head.
 */
export async function openExtractor(engine: Engine, model: Model): Promise<FeatureExtractor> {
  const program = await engine.compile(featureGraph(model), { inference: true });
  const size = model.head!.featureCount;
  return {
    size,
    async extract(loader, epoch = 0, onProgress) {
      const features = new Float32Array(loader.count * size);
      let done = 0;
      for await (const { pixels, count, height, width } of loader.batches(epoch)) {
        const outputs = await program.run(
          { pixels: tensor('uint8', [count, height, width, 3], pixels) },
          { transfer: true },
        );
        features.set(outputs['features']!.data as Float32Array, done * size);
        done += count;
        onProgress?.(done, loader.count);
      }
      return features;
    },
    close: () => program.close(),
  };
}

/**
 * Runs the backbone once over prepared images, as evaluation sees them. Throws `bad-model` for a
 * model without a head.
 */
export async function extractFeatures(
  engine: Engine,
  model: Model,
  images: PreparedImages,
  subset: readonly number[],
  onProgress?: (done: number, total: number) => void,
): Promise<Features> {
  const extractor = await openExtractor(engine, model);
  try {
    const loader = createEvaluationLoader({ images, classes: model.head!.classes, batchSize: 32, subset });
    return { features: await extractor.extract(loader, 0, onProgress), size: extractor.size };
  } finally {
    await extractor.close();
  }
}
