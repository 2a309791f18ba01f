import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { evaluateGraph } from '../graph/evaluate.js';
import { importOnnx } from '../models/import.js';
import { isEncoder } from '../models/model.js';
import { Random } from '../random.js';
import { float32, numbersOf, sizeOf } from '../tensor.js';
import { blobs } from '../testing/blobs.js';
import { temporaryFolder } from '../testing/image-files.js';
import { withoutDnnl } from '../testing/onednn.js';
import { train } from './train.js';

/** Encoders without a classifier as Hugging Face's transformers and timm make them; README.md in the folder. */
const folder = fileURLToPath(new URL('../../fixtures/encoders/', import.meta.url));
const expected = JSON.parse(readFileSync(join(folder, 'expected.json'), 'utf8')) as {
  seed: number;
  keys: string[];
  shape: number[];
  files: Record<string, { note: string; output: string; taken: string; features: number[][] }>;
};

/** The images that the features belong to. */
function images(): Float32Array {
  const random = new Random(expected.seed, ...expected.keys);
  return Float32Array.from({ length: sizeOf(expected.shape) }, () => 2 * random.uniform() - 1);
}

for (const [name, { note, output, taken, features }] of Object.entries(expected.files)) {
  const path = join(folder, `${name}.onnx`);

  test(`${note}: a new classifier reads what PyTorch gives as features, and it is said which`, async () => {
    const notes: string[] = [];
    const model = await importOnnx(path, { normalize: 'imagenet', warn: (line) => notes.push(line) });
    assert.ok(isEncoder(model));
    const { features: found } = evaluateGraph(model.graph, {
      input: float32(expected.shape, images()),
      ...Object.fromEntries(model.parameters),
    });
    const wanted = features.flat();
    assert.equal(found!.data.length, wanted.length);
    const off = Math.max(...numbersOf(found!).map((value, i) => Math.abs(value - wanted[i]!)));
    assert.ok(off < 1e-4, `off by ${off}`);
    assert.equal(notes.length, 1, notes.join('\n'));
    const how = taken === 'as they are' ? '' : ` (${taken})`;
    assert.ok(notes[0]!.includes(`reads ${features[0]!.length} features of the output ${output}${how};`), notes[0]);
  });

  for (const engine of ['ort', 'onednn'] as const) {
    const skip = engine === 'onednn' && withoutDnnl;
    test(`${note}: a probe and a step of fine-tuning on ${engine}`, { skip }, async (t) => {
      const runs = await temporaryFolder(t);
      const data = blobs({ train: 8, val: 4 }, 150);
      const common = { model: path, normalize: 'imagenet', engine, threads: 1, workers: 0 } as const;
      const probed = await train(data, { ...common, mode: 'probe', out: join(runs, 'probe') });
      assert.ok(Number.isFinite(probed.val!.loss));
      const tuned = await train(data, {
        ...common,
        mode: 'finetune',
        epochs: 1,
        batchSize: 16,
        out: join(runs, 'finetune'),
      });
      assert.ok(Number.isFinite(tuned.val!.loss));
    });
  }
}
