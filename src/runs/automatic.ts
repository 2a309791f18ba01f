import { runFiles } from '../artifact/run-files.js';
import { chooseBatchSize } from '../train/batch-size.js';
import { findLearningRate } from '../train/learning-rate.js';
import type { RunContext } from './context.js';
import type { RunEvent } from './events.js';
import { buildPhaseStep, planPhases, type FixedSettings } from './phases.js';
import { withBackboneRate } from './resolve.js';
import { batchesOf } from './batches.js';

/** Rate that the graphs of a range test are built for; the test itself feeds the rates. */
const nominalRate = 1e-3;

/**
 * Replaces `auto` by numbers: the batch size that fits the memory, the learning rate of a range
 * test over the images `learn`. What was chosen is kept in the run (`automatic.json`), so that a
 * resumed run does not measure again.
 */
export async function* chooseAutomatically(
  context: RunContext & { readonly learn: readonly number[] },
): AsyncGenerator<RunEvent, FixedSettings, undefined> {
  const { engine, model, settings, run, learn, signal } = context;
  if (settings.batchSize !== 'auto' && settings.lr !== 'auto') return settings as FixedSettings;
  const saved = await runFiles.automatic.read(run.path);
  if (saved) return { ...settings, ...saved };
  const rate = settings.lr === 'auto' ? nominalRate : settings.lr;
  const fixed = (batchSize: number): FixedSettings => ({ ...settings, lr: rate, batchSize });
  // The last phase trains most: what fits it fits the others.
  const phaseOf = (candidate: FixedSettings): Parameters<typeof buildPhaseStep>[2] =>
    planPhases(model, candidate).at(-1)!;
  const batchSize =
    settings.batchSize === 'auto'
      ? chooseBatchSize({
          images: learn.length,
          build: (size) => buildPhaseStep(model, fixed(size), phaseOf(fixed(size)), size),
        }).batchSize
      : settings.batchSize;
  let lr = rate;
  if (settings.lr === 'auto') {
    yield { type: 'phase', name: 'learning rate' };
    const candidate = fixed(Math.min(batchSize, learn.length));
    const { learningRate } = await findLearningRate({
      engine,
      step: buildPhaseStep(model, candidate, phaseOf(candidate), candidate.batchSize),
      source: batchesOf({
        ...context,
        settings: candidate,
        learnFrom: learn,
        teachers: context.teachers ?? [],
        batchSize: candidate.batchSize,
        firstEpoch: 0,
        epochs: 0,
      }),
      signal,
    });
    lr = learningRate;
  }
  const { backboneLr } = withBackboneRate({ ...settings, lr }, model, learn.length);
  const chosen = { batchSize, lr, backboneLr };
  yield { type: 'note', message: `chosen automatically: batch size ${batchSize}, learning rate ${lr}` };
  await runFiles.automatic.write(run.path, chosen);
  return { ...settings, ...chosen };
}
