import assert from 'node:assert/strict';
import { test } from 'node:test';
import { join } from 'node:path';
import { evaluate } from '../../../../evaluate/evaluate.js';
import { loadModel } from '../../../../evaluate/load.js';
import { encodePng } from '../../../../image/decode.js';
import { Random } from '../../../../random.js';
import type { TrainResult } from '../../../../runs/events.js';
import type { TrainOptions } from '../../../../runs/resolve.js';
import { train } from '../../../../runs/train.js';
import { temporaryFolder, writeTree } from '../../../../testing/image-files.js';
import { withoutWebgpu } from '../../../../testing/webgpu.js';

/** Noise, redder or bluer by the class: files of a data folder. */
async function colours(counts: Readonly<Record<string, number>>, size: number): Promise<Record<string, Uint8Array>> {
  const files: Record<string, Uint8Array> = {},
    random = new Random(1, 'colours');
  for (const [split, count] of Object.entries(counts)) {
    for (const [channel, label] of [
      [0, 'red'],
      [2, 'blue'],
    ] as const) {
      for (let i = 0; i < count; i++) {
        const data = Uint8Array.from(
          { length: size * size * 3 },
          (_, at) => random.integer(150) + (at % 3 === channel ? 80 : 0),
        );
        files[`${split}/${label}/${i}.png`] = await encodePng({ width: size, height: size, data });
      }
    }
  }
  return files;
}

test(
  'a run from scratch, a fine-tuned one and a probe: trained, evaluated and used on WebGPU',
  { skip: withoutWebgpu },
  async (t) => {
    const folder = await temporaryFolder(t),
      data = join(folder, 'data');
    await writeTree(data, await colours({ train: 16, val: 4 }, 8));
    const run = async (out: string, settings: TrainOptions): Promise<TrainResult> => {
      return train(data, {
        engine: 'webgpu',
        seed: 1,
        workers: 0,
        ...settings,
        out: join(folder, out),
      });
    };
    const descent = { flip: false, batchSize: 8, lr: 0.003 };
    const scratch = await run('scratch', {
      ...descent,
      mode: 'scratch',
      model: 'convnet-small',
      size: 8,
      optimizer: 'adamw',
      epochs: 2,
    });
    assert.ok(scratch.val!.top1 >= 0.75, `from scratch ${scratch.val!.top1}`);
    const tuned = await run('tuned', { ...descent, mode: 'finetune', model: scratch.run, epochs: 1 });
    assert.ok(tuned.val!.top1 >= 0.75, `fine-tuned ${tuned.val!.top1}`);
    const probe = await run('probe', { mode: 'probe', model: scratch.run });
    assert.ok(probe.val!.top1 >= 0.75, `probe ${probe.val!.top1}`);

    // the file of the run says the same on both engines
    const results = [];
    for (const engine of ['webgpu', 'ort'] as const) {
      const model = await loadModel(tuned.run, { engine });
      const { metrics } = await evaluate(model, data, { split: 'val', workers: 0 });
      const prediction = await model.predict(join(data, 'val/red/0.png'));
      await model.close();
      results.push({ metrics, prediction });
    }
    const [device, cpu] = results as [(typeof results)[0], (typeof results)[0]];
    assert.deepEqual(device.metrics.confusion, cpu.metrics.confusion);
    assert.ok(
      Math.abs(device.metrics.loss - cpu.metrics.loss) < 1e-4,
      `${device.metrics.loss}, ${cpu.metrics.loss} on the CPU`,
    );
    assert.equal(device.prediction.label, cpu.prediction.label);
    assert.ok(Math.abs(device.prediction.confidence - cpu.prediction.confidence) < 1e-4);
  },
);
