import assert from 'node:assert/strict';
import { test } from 'node:test';
import { exportModel } from '../artifact/export.js';
import { createEngine } from '../engine/index.js';
import { buildModel } from '../models/index.js';
import type { Model } from '../models/model.js';
import { float32 } from '../tensor.js';
import { differenceOfExport } from './check-export.js';

const provenance = {} as Parameters<typeof exportModel>[1];

test('an exported file answers as its model, nearly so in half floats, also with numbers beyond them', async () => {
  const model = buildModel('convnet-small', { labels: ['a', 'b', 'c'], seed: 1, inputSize: 16 });
  const head = model.head!.weight;
  const weight = model.parameters.get(head)!;
  const large: Model = {
    ...model,
    parameters: new Map(model.parameters).set(
      head,
      float32(
        weight.dims,
        (weight.data as Float32Array).map((x, i) => (i === 0 ? 1e6 : x)),
      ),
    ),
  };
  const engine = await createEngine('ort');
  try {
    const difference = (tried: Model, fp16: boolean): Promise<number> =>
      differenceOfExport(engine, tried, { bytes: exportModel(tried, provenance, { fp16 }), name: 'm.onnx' });
    assert.ok((await difference(model, false)) < 1e-5);
    const half = await difference(model, true);
    assert.ok(half > 0 && half < 1e-2, `${half}`);
    assert.ok((await difference(large, true)) < 0.1);
    const broken: Model = {
      ...model,
      parameters: new Map(model.parameters).set(
        head,
        float32(
          weight.dims,
          (weight.data as Float32Array).map(() => NaN),
        ),
      ),
    };
    await assert.rejects(difference(broken, false), { code: 'bad-model', message: /not finite/ });
  } finally {
    await engine.close();
  }
});
