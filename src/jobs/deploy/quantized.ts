import { createEngine } from '../../engine/index.js';
import { calibrationImages, quantizeModel } from '../../evaluate/quantize.js';
import type { Graph } from '../../graph/graph.js';
import type { Model } from '../../models/model.js';

interface QuantizedOptions {
  readonly threads?: number | undefined;
  /** Hears how many images were looked at. */
  readonly report?: ((done: number) => void) | undefined;
}

/** A model on 8-bit integers, scaled by what it makes of images: at most 300 of these files and folders. */
export async function quantizedOn(
  model: Model,
  images: readonly string[],
  { threads, report }: QuantizedOptions = {},
): Promise<Graph> {
  const engine = await createEngine('ort', { threads });
  try {
    return await quantizeModel(model, counted(calibrationImages(images, model.preprocessing), report), { engine });
  } finally {
    await engine.close();
  }
}

async function* counted<Batch extends { readonly count: number }>(
  batches: AsyncIterable<Batch>,
  report: QuantizedOptions['report'],
): AsyncGenerator<Batch> {
  let done = 0;
  for await (const batch of batches) {
    yield batch;
    report?.((done += batch.count));
  }
}
