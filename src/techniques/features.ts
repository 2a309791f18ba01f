import { createEvaluationLoader } from '../data/loader.js';
import type { PreparedImages } from '../data/prepare.js';
import type { Engine } from '../engine/engine.js';
import { bindInputs, foldConstants, prune } from '../graph/passes.js';
import type { Model } from '../models/model.js';
import { tensor } from '../tensor.js';
import { buildFeatures } from '../train/evaluation.js';

/** What a model's head sees of images, row-major [count, size]. */
export interface Features {
  readonly features: Float32Array;
  readonly size: number;
}

/** Runs the backbone once over prepared images, as an inference-optimised graph. Throws `bad-model` for a model without a head. */
export async function extractFeatures(
  engine: Engine, model: Model, images: PreparedImages, subset: readonly number[],
  onProgress?: (done: number, total: number) => void,
): Promise<Features> {
  const { graph } = buildFeatures(model);
  // The head's own parameters are not part of it.
  const weights = new Map(graph.inputs.flatMap(({ name }) => {
    const value = model.parameters.get(name);
    return value ? [[name, value] as const] : [];
  }));
  const program = await engine.compile(prune(foldConstants(bindInputs(graph, weights))), { inference: true });
  try {
    const size = model.head!.featureCount;
    const features = new Float32Array(subset.length * size);
    let done = 0;
    const loader = createEvaluationLoader({ images, classes: model.head!.classes, batchSize: 32, subset });
    for await (const { pixels, count, height, width } of loader.batches(0)) {
      const outputs = await program.run({ pixels: tensor('uint8', [count, height, width, 3], pixels) }, { transfer: true });
      features.set(outputs['features']!.data as Float32Array, done * size);
      done += count;
      onProgress?.(done, subset.length);
    }
    return { features, size };
  } finally {
    await program.close();
  }
}
