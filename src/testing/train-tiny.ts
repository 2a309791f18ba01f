import { hasCheckpoint, loadCheckpoint, saveCheckpoint } from '../artifact/checkpoint.js';
import type { Engine } from '../engine/engine.js';
import { createOrtEngine } from '../engine/ort/index.js';
import type { FitPosition, FitEvent } from '../train/events.js';
import { fit } from '../train/fit.js';
import { createSchedule } from '../train/schedules.js';
import { buildTrainingStep } from '../train/step.js';
import { tinyBatch, tinyGroups, tinyModel } from './tiny-model.js';

const batches = 4,
  batchSize = 8;

/**
 * Trains the tiny network for `epochs`, saving after every step into `folder`, from its last
 * checkpoint if there is one.
 */
export async function* trainTiny(engine: Engine, folder: string, epochs: number): AsyncGenerator<FitEvent> {
  const model = tinyModel({ dropout: 0.2 });
  const step = buildTrainingStep(model, {
    batchSize,
    groups: tinyGroups(model),
    optimizer: { name: 'adamw' },
    seed: 2,
    average: { decay: 0.95 },
  });
  const checkpoint = (await hasCheckpoint(folder)) ? await loadCheckpoint(folder) : undefined;
  yield* fit({
    engine,
    step,
    epochs,
    learningRate: 0.01,
    schedule: createSchedule('one-cycle'),
    source: {
      stepsPerEpoch: batches,
      async *batches(epoch, start) {
        for (let s = start; s < batches; s++) {
          yield {
            feeds: tinyBatch(Array.from({ length: batchSize }, (_, i) => (epoch * 5 + s) * batchSize + i)),
            files: [],
          };
        }
      },
    },
    evaluate: async ({ step: done }) => ({ score: Math.sin(done), metrics: {} }),
    state: checkpoint?.tensors,
    resume: checkpoint?.meta as FitPosition | undefined,
    resumedFrom: checkpoint?.path,
    save: ({ tensors, position, isBest }) => saveCheckpoint(folder, { tensors, meta: position, best: isBest }),
    checkpointSeconds: 0,
  });
}

// As a program of its own, to be killed: `node train-tiny.js FOLDER EPOCHS`; tells its parent how
// far it is.
if (process.send && process.argv[2] !== undefined) {
  const engine = await createOrtEngine({ threads: 1 });
  for await (const event of trainTiny(engine, process.argv[2], Number(process.argv[3]))) {
    if (event.type === 'step') process.send(event.step);
  }
  await engine.close();
  process.disconnect();
}
