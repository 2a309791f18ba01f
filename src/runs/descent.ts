import { hasCheckpoint, lastMeta, loadCheckpoint, saveCheckpoint } from '../artifact/checkpoint.js';
import type { MetricsMark, Run } from '../artifact/run.js';
import { runFiles } from '../artifact/run-files.js';
import { faultOf } from '../artifact/schemas.js';
import { createEvaluationLoader } from '../data/loader.js';
import type { Engine, Program } from '../engine/engine.js';
import { PupilError } from '../errors.js';
import { crossEntropy, argmax } from '../evaluate/metrics.js';
import type { Model } from '../models/model.js';
import { alone, type Ranks } from '../parallel/ranks.js';
import { tensor, type Tensor } from '../tensor.js';
import { buildEvaluation } from '../train/evaluation.js';
import type { Evaluation, FitEvent, FitPosition } from '../train/events.js';
import { fit, type FitSnapshot } from '../train/fit.js';
import type { BatchSource } from '../train/runner.js';
import { createSchedule } from '../train/schedules.js';
import type { TrainingStep } from '../train/step.js';
import type { StepsTime } from './context.js';
import type { RunEvent } from './events.js';
import type { RunImages } from './images.js';
import { describeAugmentation } from './augmentation.js';
import { batchesOf, type BatchContext } from './batches.js';
import { buildPhaseStep, planPhases, type FixedSettings, type Phase } from './phases.js';
import type { Settings } from './resolve.js';
import { watched } from './glimpse.js';
import { drawBatches } from './preview.js';
import { assertDivisible, lead } from './ranks.js';
import { tap } from './relay.js';
import type { Sharing } from './share.js';
import { beginAveraging, SharedAveraging } from './shared-averaging.js';
import { techniqueOf } from '../techniques/index.js';
import type { Teacher } from '../techniques/teacher.js';

/** One training by gradient descent: fine-tuning or from scratch, by any technique. */
export interface DescentOptions {
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
  readonly teachers?: readonly Teacher[] | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Those that train together; the first tells the others what (`follow.ts`). Default this process alone. */
  readonly ranks?: Ranks | undefined;
  readonly time?: StepsTime | undefined;
  /** Where other machines train the same network, and the name of this training there. */
  readonly sharing?: Sharing | undefined;
  readonly part?: string | undefined;
  /** Of a rank that follows: where the first goes on. */
  readonly from?: Resumed | undefined;
  /** Where checkpoints and metrics go; without it nothing is saved. */
  readonly run?: Run | undefined;
  /** Called with every event, before it is yielded, to write metrics. */
  readonly log?: ((event: RunEvent) => Promise<void>) | undefined;
}

export interface Trained {
  /** The model with the weights that were kept. */
  readonly model: Model;
  /** From 1. */
  readonly epoch: number;
  /** The share of its steps that its time allowed; absent: all. */
  readonly completed?: number | undefined;
}

/** What a checkpoint says beside the tensors. */
interface Position {
  readonly phase: number;
  readonly fit: FitPosition;
  readonly metrics: MetricsMark;
  /**
   * Whether the moving average of the weights was the better one when this checkpoint was the best.
   */
  readonly averaged: boolean;
}

/** Trains and yields what happens. Continues from the run's last checkpoint when it has one. */
export async function* trainInPhases(told: DescentOptions): AsyncGenerator<RunEvent, Trained, undefined> {
  const { engine, run, ranks = alone } = told;
  const phases = planPhases(told.model, told.settings);
  const resumed = told.from ?? (yield* restore(run));
  const options = { ...told, settings: inTimeOfNow(told, phases.length - 1, resumed) },
    { settings } = options;
  const batchSize = batchOf(settings, options.learnFrom.length, ranks);
  if (ranks.leads) await lead(ranks, options, resumed);
  const all = phases.reduce((sum, { epochs }) => sum + epochs, 0);
  const context = (firstEpoch: number): BatchContext => ({
    ...options,
    teachers: options.teachers ?? [],
    batchSize,
    firstEpoch,
    epochs: all,
  });
  if (run && settings.preview && !(await runFiles.preview.exists(run.path))) yield* preview(run, context(0));
  let descent: Descent = { state: resumed?.tensors, averaged: resumed?.position.averaged ?? false };
  let epochsBefore = 0;
  for (const [index, phase] of phases.entries()) {
    if (!resumed || index >= resumed.position.phase) {
      yield { type: 'phase', name: phase.name, epochs: { before: epochsBefore, all } };
      const step = buildPhaseStep(options.model, settings, phase, batchSize, ranks);
      const source = watched(batchesOf({ ...context(epochsBefore), slice: ranks }), {
        classes: options.images.dataset.classes,
        augmentation: describeAugmentation(settings),
      });
      descent = yield* trainPhase(
        options,
        { phase, index, isLast: index === phases.length - 1, step, source },
        {
          ...descent,
          resumed,
          epochsBefore,
        },
      );
      // What the observer remembers goes on in the next phase, as the weights do.
      const weights = await engine.read([...step.initialState.keys()]);
      descent = { ...descent, state: new Map([...weights, ...(source.observer?.save() ?? [])]) };
      if (index === phases.length - 1) await engine.remove([...step.initialState.keys()]);
    }
    if (index < phases.length - 1) epochsBefore += phase.epochs;
  }
  return keptWeights(options, descent, epochsBefore);
}

/** The settings with the time that the steps of the last phase have in this session, after those they had before. */
function inTimeOfNow({ settings, time }: DescentOptions, last: number, resumed: Resumed | undefined): FixedSettings {
  if (time === undefined) return settings;
  const before = resumed?.position.phase === last ? resumed.position.fit.seconds : 0;
  return { ...settings, minutes: (before + Math.max(leastSeconds, time.left())) / 60, follows: time.follows };
}

/** A training that has no time left has so much. */
const leastSeconds = 1;

/** Labelled images of a batch, of so many. Throws `usage` where the ranks cannot share it. */
export function batchOf(settings: Settings & { readonly batchSize: number }, labels: number, ranks: Ranks): number {
  const technique = techniqueOf(settings);
  // Few labels are repeated to fill a batch where other images stand beside them.
  const batchSize = technique.needs.unlabelled !== false ? settings.batchSize : ofLabels(settings, labels, ranks);
  assertDivisible(technique, settings, batchSize, ranks);
  return batchSize;
}

/**
 * The images of a batch that stand there alone: not more than there are. Fewer than the batch that was asked for are
 * cut in equal parts as far as they go: the few that are left over are others in every epoch.
 */
function ofLabels({ batchSize }: { readonly batchSize: number }, labels: number, { size }: Ranks): number {
  const whole = Math.floor(labels / size) * size;
  return batchSize <= labels || whole === 0 ? Math.min(batchSize, labels) : whole;
}

/** Where the phases before have led. */
interface Descent {
  /** The weights and all that is trained with; undefined: the model's own. */
  readonly state: ReadonlyMap<string, Tensor> | undefined;
  /** Whether the moving average of the weights was the better one at the last evaluation. */
  readonly averaged: boolean;
  readonly position?: FitPosition;
  /** Of the last phase, whose time is limited: `completed` of what was trained. */
  readonly completed?: number | undefined;
}

export interface Resumed {
  readonly tensors: ReadonlyMap<string, Tensor>;
  readonly position: Position;
  readonly path: string;
}

/** Throws `bad-data` for what is no position. */
function positionIn(meta: unknown, path: string): Position {
  const fault = faultOf('position', meta);
  if (fault === undefined) return meta as Position;
  const message = `${path}: ${fault}; delete this checkpoint, or start a new run`;
  throw new PupilError('bad-data', message, { option: 'resume' });
}

/** Throws `bad-data` where the metrics of a run that goes on are not those of its last checkpoint. */
export async function checkMetrics(run: Run): Promise<void> {
  const last = await lastMeta(run.checkpoints);
  if (last !== undefined) await run.checkMetrics(positionIn(last, run.checkpoints).metrics);
}

/** The run's last checkpoint, the metrics cut back to what they were then. */
async function* restore(run: Run | undefined): AsyncGenerator<RunEvent, Resumed | undefined, undefined> {
  if (!run || !(await hasCheckpoint(run.checkpoints))) return undefined;
  const { tensors, meta, path, skipped } = await loadCheckpoint(run.checkpoints);
  const position = positionIn(meta, path);
  for (const damaged of skipped) yield { type: 'warning', message: `passed over a damaged checkpoint: ${damaged}` };
  await run.truncateMetrics(position.metrics.bytes);
  return { tensors, position, path };
}

/** What one phase trains. */
interface PhaseWork {
  readonly phase: Phase;
  readonly index: number;
  readonly isLast: boolean;
  readonly step: TrainingStep;
  readonly source: BatchSource;
}

async function* trainPhase(
  options: DescentOptions,
  { phase, index, isLast, step, source }: PhaseWork,
  {
    state,
    averaged: averagedBefore,
    resumed,
    epochsBefore,
  }: Descent & { readonly resumed: Resumed | undefined; readonly epochsBefore: number },
): AsyncGenerator<RunEvent, Descent, undefined> {
  const { engine, settings, run, signal, ranks = alone } = options;
  const perEpoch = Math.max(1, Math.floor(source.stepsPerEpoch / settings.accumulate));
  const selects = options.selectOn.length > 0;
  const evaluator = selects && ranks.leads ? await createEvaluator(options, step) : undefined;
  let averaged = averagedBefore;
  const evaluate = async (): Promise<Evaluation> => {
    const { top1, loss, ...rest } = await evaluator!.run();
    ({ averaged } = rest);
    // Accuracy decides; among equal accuracies the lower loss.
    return { score: top1 - 1e-5 * Math.min(loss, 100), metrics: { top1, loss, averaged } };
  };
  const save = async ({ tensors, position, isBest }: FitSnapshot): Promise<string> => {
    const meta: Position = { phase: index, fit: position, metrics: await run!.metricsMark(), averaged };
    // A best epoch of an earlier phase does not count once more trains: the last phase decides.
    return saveCheckpoint(run!.checkpoints, { tensors, meta, best: isBest && isLast });
  };
  const from = resumed?.position.phase === index ? resumed.position.fit : undefined;
  const { averaging, state: begun } = yield* beginAveraging(options, {
    index,
    epochs: phase.epochs,
    stepsPerEpoch: perEpoch,
    step,
    state,
    position: from,
  });
  const events = fit({
    engine,
    ranks,
    averaging,
    step,
    source,
    epochs: phase.epochs,
    learningRate: settings.lr,
    schedule: createSchedule(settings.schedule, {
      warmUpSteps: Math.round((index === 0 ? settings.warmup : 0) * perEpoch),
    }),
    evaluate: selects ? evaluate : undefined,
    patience: settings.patience,
    minutes: isLast ? settings.minutes : undefined,
    follows: settings.follows,
    signal,
    state: begun,
    resumedFrom: resumed?.path,
    resume: from,
    save: run && save,
  });
  try {
    const position = yield* tap(events, async (event) => {
      // What was timed while compiling is reused by a resumed run, so that it computes the same bits.
      if (event.type === 'start' && run) await runFiles.choices.write(run.path, engine.choices);
      const counted = countedOn(event, epochsBefore);
      await options.log?.(counted);
      return counted;
    });
    if (averaging instanceof SharedAveraging) yield { type: 'note', message: averaging.summary };
    const everything = phase.epochs * perEpoch;
    const isCut = (position.plannedSteps ?? everything) < everything;
    return { state, averaged, position, completed: isCut ? position.step / everything : undefined };
  } finally {
    await evaluator?.close();
  }
}

/** The model with the weights of the best epoch, or of the last where nothing was selected on. */
async function keptWeights(
  { model, settings, run, selectOn }: DescentOptions,
  { state, position, completed }: Descent,
  epochsBefore: number,
): Promise<Trained> {
  const { best, epoch } = position!;
  if (!run || selectOn.length === 0 || best === null) {
    return { model: withWeights(model, state!, settings.ema !== undefined), epoch: epochsBefore + epoch, completed };
  }
  const { tensors, meta } = await loadCheckpoint(run.checkpoints, 'best');
  return {
    model: withWeights(model, tensors, (meta as Position).averaged),
    epoch: epochsBefore + best.epoch,
    completed,
  };
}

/** Saves a picture of the first batch; the training then makes the same one again. */
async function* preview(run: Run, context: BatchContext): AsyncGenerator<RunEvent, void, undefined> {
  const { images, settings } = context;
  const batches = batchesOf(context).batches(0, 0)[Symbol.asyncIterator]();
  const { done, value: batch } = await batches.next();
  await batches.return?.();
  if (done) return;
  await runFiles.preview.write(
    run.path,
    await drawBatches(
      Object.values(batch.views!),
      images.dataset.classes,
      'augmentation ' + `${describeAugmentation(settings)}`,
    ),
  );
  yield { type: 'note', message: `${runFiles.preview.in(run.path)} shows the first batch as the network sees it` };
}

/** Epochs of one training counted on over its phases. */
function countedOn(event: FitEvent, before: number): RunEvent {
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
  { engine, model, images, selectOn }: DescentOptions,
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
