import { existsSync } from 'node:fs';
import { hasCheckpoint, loadCheckpoint, saveCheckpoint, type Checkpoint } from '../artifact/checkpoint.js';
import type { Run } from '../artifact/run.js';
import { createEvaluationLoader } from '../data/loader.js';
import type { Engine, Program } from '../engine/engine.js';
import { crossEntropy, argmax } from '../evaluate/metrics.js';
import type { Model } from '../models/model.js';
import { tensor, type Tensor } from '../tensor.js';
import { buildEvaluation } from '../train/evaluation.js';
import type { FitPosition, FitEvent } from '../train/events.js';
import { fit } from '../train/fit.js';
import { createSchedule } from '../train/schedules.js';
import type { TrainingStep } from '../train/step.js';
import type { RunEvent } from './events.js';
import type { RunImages } from './images.js';
import { describeAugmentation } from './augmentation.js';
import { buildPhaseStep, planPhases, type FixedSettings } from './phases.js';
import { drawBatches } from './preview.js';
import { techniqueOf } from '../techniques/index.js';
import { batchesOf, type BatchContext } from './batches.js';
import type { Teacher } from '../techniques/teacher.js';

/** One training by gradient descent: fine-tuning or from scratch, by any technique. */
export interface SupervisedOptions {
  readonly engine: Engine;
  /** With the head for the classes in place. */
  readonly model: Model;
  readonly images: RunImages;
  /** Labelled images to learn from: indexes into `images.training ?? images.evaluation`. */
  readonly learnFrom: readonly number[];
  /**
   * Images to choose the best epoch on: indexes into `images.evaluation`; none keeps the last
   * epoch.
   */
  readonly selectOn: readonly number[];
  readonly settings: FixedSettings;
  readonly teachers?: readonly Teacher[];
  readonly signal?: AbortSignal;
  /** Where checkpoints and metrics go; without it nothing is saved. */
  readonly run?: Run;
  /** Called with every event, before it is yielded, to write metrics. */
  readonly log?: (event: RunEvent) => Promise<void>;
}

export interface Trained {
  /** The model with the weights that were kept. */
  readonly model: Model;
  /** From 1. */
  readonly epoch: number;
}

/** What a checkpoint says beside the tensors. */
interface Position {
  readonly phase: number;
  readonly fit: FitPosition;
  readonly metricsBytes: number;
  /**
   * Whether the moving average of the weights was the better one when this checkpoint was the best.
   */
  readonly averaged: boolean;
}

/** Trains and yields what happens. Continues from the run's last checkpoint when it has one. */
export async function* trainSupervised(options: SupervisedOptions): AsyncGenerator<RunEvent, Trained, undefined> {
  const { engine, settings, run } = options;
  const phases = planPhases(options.model, settings);
  const checkpoint: Checkpoint | undefined =
    run && (await hasCheckpoint(run.checkpoints)) ? await loadCheckpoint(run.checkpoints) : undefined;
  const resume = checkpoint?.meta as Position | undefined;
  for (const damaged of checkpoint?.skipped ?? [])
    yield { type: 'warning', message: `passed over a damaged checkpoint: ${damaged}` };
  if (resume) await run!.truncateMetrics(resume.metricsBytes);

  const allEpochs = phases.reduce((sum, phase) => sum + phase.epochs, 0);
  const technique = techniqueOf(settings);
  // Few labels are repeated to fill a batch where other images stand beside them.
  const batchSize =
    technique.needs.unlabelled !== false ? settings.batchSize : Math.min(settings.batchSize, options.learnFrom.length);
  const context = (firstEpoch: number): BatchContext => ({
    ...options,
    teachers: options.teachers ?? [],
    batchSize,
    firstEpoch,
    epochs: allEpochs,
  });
  if (run && settings.preview && !existsSync(run.file('preview.png'))) yield* preview(run, context(0));
  let state: ReadonlyMap<string, Tensor> | undefined = checkpoint?.tensors;
  let averaged = resume?.averaged ?? false;
  let position: FitPosition | undefined;
  let step: TrainingStep | undefined;
  let offset = 0;
  for (const [index, phase] of phases.entries()) {
    if (resume && index < resume.phase) {
      offset += phase.epochs;
      continue;
    }
    yield { type: 'phase', name: phase.name };
    step = buildPhaseStep(options.model, settings, phase, batchSize);
    const source = batchesOf(context(offset));
    const perEpoch = Math.max(1, Math.floor(source.stepsPerEpoch / settings.accumulate));
    const evaluator = options.selectOn.length > 0 ? await createEvaluator(options, step) : undefined;
    const doneBefore = offset;
    const events = fit({
      engine,
      step,
      source,
      epochs: phase.epochs,
      learningRate: settings.lr,
      schedule: createSchedule(settings.schedule, {
        warmUpSteps: Math.round((index === 0 ? settings.warmup : 0) * perEpoch),
      }),
      ...(evaluator && {
        evaluate: async () => {
          const result = await evaluator.run();
          averaged = result.averaged;
          return {
            // Accuracy decides; among equal accuracies the lower loss.
            score: result.top1 - 1e-5 * Math.min(result.loss, 100),
            metrics: { top1: result.top1, loss: result.loss, averaged: result.averaged },
          };
        },
      }),
      ...(settings.patience !== undefined && { patience: settings.patience }),
      ...(settings.minutes !== undefined && index === phases.length - 1 && { minutes: settings.minutes }),
      ...(options.signal && { signal: options.signal }),
      ...(state && { state }),
      ...(checkpoint && { resumedFrom: checkpoint.path }),
      ...(resume?.phase === index && { resume: resume.fit }),
      ...(run && {
        save: async ({ tensors, position: at, isBest }) => {
          // A best epoch of an earlier phase does not count once more trains: the last phase
          // decides.
          const best = isBest && index === phases.length - 1;
          const meta: Position = { phase: index, fit: at, metricsBytes: await run.metricsSize(), averaged };
          return saveCheckpoint(run.checkpoints, { tensors, meta, best });
        },
      }),
    });
    try {
      for (;;) {
        const { value, done } = await events.next();
        if (done) {
          position = value;
          break;
        }
        // What was timed while compiling is reused by a resumed run, so that it computes the same
        // bits.
        if (value.type === 'start') await run?.write('choices.json', JSON.stringify(engine.choices, null, 1) + '\n');
        const event = counted(value, doneBefore);
        await options.log?.(event);
        yield event;
      }
    } finally {
      await evaluator?.close();
    }
    // What the observer remembers goes on in the next phase, as the weights do.
    state = new Map([...(await engine.read([...step.initialState.keys()])), ...(source.observer?.save() ?? [])]);
    offset += phase.epochs;
  }
  const bestKept = run !== undefined && options.selectOn.length > 0 && position!.best !== null;
  const kept = bestKept ? await loadCheckpoint(run.checkpoints, 'best') : undefined;
  const useAverage = kept ? (kept.meta as Position).averaged : settings.ema !== undefined;
  await engine.remove([...step!.initialState.keys()]);
  return {
    model: withWeights(options.model, kept?.tensors ?? state!, useAverage),
    epoch: allEpochs - phases.at(-1)!.epochs + (kept ? position!.best!.epoch : position!.epoch),
  };
}

/** Saves a picture of the first batch; the training then makes the same one again. */
async function* preview(run: Run, context: BatchContext): AsyncGenerator<RunEvent, void, undefined> {
  const { images, settings } = context;
  const batches = batchesOf(context).batches(0, 0)[Symbol.asyncIterator]();
  const { done, value: batch } = await batches.next();
  await batches.return?.();
  if (done) return;
  await run.write(
    'preview.png',
    await drawBatches(Object.values(batch.views!), images.dataset.classes, `augmentation ${describeAugmentation(settings)}`),
  );
  yield { type: 'note', message: `${run.file('preview.png')} shows the first batch as the network sees it` };
}

/** Epochs of one training counted on over its phases. */
function counted(event: FitEvent, before: number): RunEvent {
  return 'epoch' in event ? { ...event, epoch: before + event.epoch } : event;
}

/** The model with weights from the store, or with their moving averages where there are some. */
export function withWeights(model: Model, tensors: ReadonlyMap<string, Tensor>, averaged: boolean): Model {
  const parameters = new Map(
    [...model.parameters].map(([name, value]) => [
      name,
      (averaged ? tensors.get(`${name}@ema`) : undefined) ?? tensors.get(name) ?? value,
    ]),
  );
  return { ...model, parameters, pretrained: true };
}

/**
 * Runs the weights in the store, and their averages if there are any, on the selection images; the
 * better of the two counts.
 */
async function createEvaluator(
  { engine, model, images, selectOn }: SupervisedOptions,
  step: TrainingStep,
): Promise<{
  run(): Promise<{ top1: number; loss: number; averaged: boolean }>;
  close(): Promise<void>;
}> {
  const classes = images.dataset.classes.length;
  const loader = createEvaluationLoader({ images: images.evaluation, classes, batchSize: 32, subset: selectOn });
  const labels = selectOn.map((index) => images.evaluation.samples[index]!.label);
  const compile = async (averages?: ReadonlySet<string>): Promise<Program> => {
    const { graph, state } = buildEvaluation(model, averages ? { averaged: averages } : {});
    return engine.compile(graph, { state, exact: true }); // as the exported model will be
  };
  const programs = [await compile(), ...(step.averaged.size > 0 ? [await compile(step.averaged)] : [])];
  return {
    async run() {
      const logits = programs.map(() => new Float32Array(selectOn.length * classes));
      let done = 0;
      for await (const { pixels, count, height, width } of loader.batches(0)) {
        for (const [i, program] of programs.entries()) {
          const outputs = await program.run({ pixels: tensor('uint8', [count, height, width, 3], pixels) });
          logits[i]!.set(outputs['logits']!.data as Float32Array, done * classes);
        }
        done += count;
      }
      const results = logits.map((values, i) => ({
        top1: labels.filter((label, row) => argmax(values, row * classes, classes) === label).length / labels.length,
        loss: crossEntropy(values, labels, classes),
        averaged: i === 1,
      }));
      return results.reduce((best, result) =>
        result.top1 > best.top1 || (result.top1 === best.top1 && result.loss < best.loss) ? result : best,
      );
    },
    async close() {
      for (const program of programs) await program.close();
    },
  };
}
