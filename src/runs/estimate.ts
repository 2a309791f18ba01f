import { performance } from 'node:perf_hooks';
import type { Model } from '../models/model.js';
import { threadsOfRank } from '../parallel/join.js';
import { float32 } from '../tensor.js';
import { compileStep, openFeed, type BatchSource } from '../train/runner.js';
import { openRunEngine } from './engine.js';
import { lookShare, type Measured } from './expected.js';
import { buildPhaseStep, graphsOf, planPhases, type FixedSettings } from './phases.js';
import type { Settings } from './resolve.js';

/**
 * Steps that are run, the fastest counts: at least so many, of small ones, which take long to warm up, more; of those
 * that take longer than `patience` in all no further ones, as who gives little time has none to spare for guesses.
 */
const steps = { least: 3, most: 60, seconds: 0.5, patience: 3 };

/** Whether one more step is measured after so many in so many seconds. */
export const measuresOn = (done: number, seconds: number): boolean =>
  done === 0 || (done < steps.most && seconds < (done < steps.least ? steps.patience : steps.seconds));

/**
 * Seconds that a training step of these (supervised) settings takes for each image, and those that
 * it takes to begin: measured on grey images, by this process. `ranks`: so many share a training, each with such a
 * step for its images; what is only looked at, this one looks at alone.
 */
export async function secondsAnImage(model: Model, settings: Settings, classes: number, ranks = 1): Promise<Measured> {
  const started = performance.now();
  const batchSize = settings.batchSize === 'auto' ? 32 : settings.batchSize;
  const fixed: FixedSettings = { ...settings, batchSize, lr: 1e-6 };
  const { engine } = await openRunEngine({
    engine: settings.engine,
    precision: settings.precision,
    threads: settings.threads ?? threadsOfRank(),
    graphs: () => graphsOf(model, settings),
  });
  try {
    const step = buildPhaseStep(model, fixed, planPhases(model, fixed).at(-1)!, batchSize);
    await engine.write(step.initialState);
    const runner = await compileStep(engine, step);
    const [height, width] = model.preprocessing.size;
    const source: BatchSource = {
      stepsPerEpoch: steps.most * step.accumulate,
      async *batches() {
        for (let i = 0; i < steps.most * step.accumulate; i++) {
          const targets = new Float32Array(batchSize * classes);
          for (let row = 0; row < batchSize; row++) targets[row * classes + (row % classes)] = 1;
          const pixels = new Uint8Array(batchSize * height * width * 3).map((_, at) => (at * 37) % 251);
          yield {
            feeds: {
              pixels: { dtype: 'uint8', dims: [batchSize, height, width, 3], data: pixels },
              targets: float32([batchSize, classes], targets),
            },
            files: [],
          };
        }
      },
    };
    const feed = openFeed(source, 0, 0);
    let image = Infinity;
    const began = performance.now();
    for (let i = 0; measuresOn(i, (performance.now() - began) / 1000); i++) {
      const before = performance.now();
      await runner.run({ step: i, total: steps.most, learningRate: 1e-6 }, feed);
      image = Math.min(image, (performance.now() - before) / 1000 / (batchSize * step.accumulate));
    }
    await feed.close();
    await runner.close();
    return { image: image / ranks, look: lookShare * image, start: (performance.now() - started) / 1000 };
  } finally {
    await engine.close();
  }
}
