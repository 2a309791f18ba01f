import type { Engine } from '../engine/engine.js';
import { importOnnx } from '../models/import.js';
import type { Model } from '../models/model.js';
import { Random } from '../random.js';
import { classifierOf } from './load.js';
import { assertFinite } from './metrics.js';

/** Images that an exported file is tried on. */
const count = 4;

/**
 * Reads an exported file back and runs it beside the model it was made from, on random pixels:
 * returns the largest difference of a probability, 0 to 1. Throws `bad-model` when the file's
 * answers are not finite numbers while the model's are.
 */
export async function differenceOfExport(
  engine: Engine,
  model: Model,
  file: { readonly bytes: Uint8Array; readonly name: string },
): Promise<number> {
  const [height, width] = model.preprocessing.size;
  const random = new Random(0, 'export');
  const pixels = Uint8Array.from({ length: count * height * width * 3 }, () => random.integer(256));
  const probabilitiesOf = async (tried: Model, name: string): Promise<Float32Array> => {
    const classifier = await classifierOf(engine, tried);
    try {
      const { probabilities } = await classifier.run(pixels, count);
      assertFinite(probabilities, name);
      return probabilities;
    } finally {
      await classifier.close();
    }
  };
  const own = await probabilitiesOf(model, model.architecture);
  const written = await probabilitiesOf(await importOnnx(file.bytes, { name: file.name }), file.name);
  return own.reduce((largest, p, i) => Math.max(largest, Math.abs(p - written[i]!)), 0);
}
