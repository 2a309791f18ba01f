import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { evaluate } from '../evaluate/evaluate.js';
import { loadModel } from '../evaluate/load.js';
import { GraphBuilder } from '../graph/builder.js';
import { encodeGraph } from '../onnx/index.js';
import { blobs } from '../testing/blobs.js';
import { temporaryFolder } from '../testing/image-files.js';
import { withoutDnnl } from '../testing/onednn.js';
import { ramp } from '../testing/sketch.js';
import { train } from './train.js';

/** A network as Keras has it for MNIST: grey, channels last, of any batch. */
function keras(): Uint8Array {
  const builder = new GraphBuilder('keras');
  const images = builder.input('images', 'float32', ['N', 16, 16, 1]);
  const planes = builder.op('Transpose', [images], { perm: [0, 3, 1, 2] });
  const weight = builder.constant(ramp(8, 1, 3, 3), 'conv/kernel');
  const maps = builder.op('Relu', [builder.op('Conv', [planes, weight], { strides: [2, 2] })]);
  const features = builder.op('Flatten', [builder.op('GlobalAveragePool', [maps])]);
  const scores = builder.op('Gemm', [features, builder.constant(ramp(10, 8), 'dense/kernel')], { transB: 1 });
  builder.outputs({ probabilities: builder.op('Softmax', [scores], { axis: 1 }) });
  return encodeGraph(builder.build());
}

for (const engine of ['ort', 'onednn'] as const) {
  test(
    `a grey network trains on ${engine}, and its exported file predicts as in training`,
    {
      skip: engine === 'onednn' && withoutDnnl,
    },
    async (t) => {
      const folder = await temporaryFolder(t),
        file = join(folder, 'keras.onnx');
      writeFileSync(file, keras());
      const data = blobs({ train: 12, val: 6 }, 150);
      const { val, model } = await train(data, {
        model: file,
        normalize: '0.1307/0.3081',
        mode: 'finetune',
        epochs: 2,
        batchSize: 8,
        engine,
        threads: 1,
        workers: 0,
        out: join(folder, 'run'),
      });
      const classifier = await loadModel(model);
      try {
        const { metrics } = await evaluate(classifier, data, { workers: 0, split: 'val' });
        assert.ok(Math.abs(metrics.loss - val!.loss) < 1e-5, `${metrics.loss} and ${val!.loss}`);
      } finally {
        await classifier.close();
      }
    },
  );
}
