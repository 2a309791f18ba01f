/** Evaluation where the backbone is frozen: what the head sees of an image is computed once for all trainings. */
import { headGraph } from '../artifact/export.js';
import type { Engine } from '../engine/engine.js';
import type { Outputs } from '../evaluate/evaluate.js';
import type { Model } from '../models/model.js';
import { weightsInPlace } from '../models/weights-in-place.js';
import { float32 } from '../tensor.js';
import type { Features } from '../techniques/features.js';

/** Images at once: the part behind the features is small. */
const batch = 4096;

/** What a model says of images whose features are known. */
export async function outputsOn(engine: Engine, model: Model, { features, size }: Features): Promise<Outputs> {
  const graph = headGraph(model);
  const program = await engine.compile(weightsInPlace(graph, model), { inference: true, exact: true });
  const count = features.length / size,
    places = graph.inputs[0]!.shape.slice(1) as number[];
  const parts: Outputs[] = [];
  try {
    for (let start = 0; start < count; start += batch) {
      const end = Math.min(count, start + batch);
      const rows = float32([end - start, ...places], features.subarray(start * size, end * size));
      const { logits, probabilities, outlier } = await program.run({ features: rows });
      parts.push({
        logits: logits!.data as Float32Array,
        probabilities: probabilities!.data as Float32Array,
        outlier: outlier?.data as Float32Array | undefined,
      });
    }
  } finally {
    await program.close();
  }
  return {
    logits: joined(parts.map(({ logits }) => logits)),
    probabilities: joined(parts.map(({ probabilities }) => probabilities)),
    outlier: model.rejection && joined(parts.map(({ outlier }) => outlier!)),
  };
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
