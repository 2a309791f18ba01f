/**
 * The ladder: from the cheapest technique to the dearest, each rung kept only where it is right
 * more often than the best below it, on the same held-out images (in every fold where labels are
 * few). A time budget, a plan before it starts, and a table at the end of what each brought.
 */
import { basename, join, relative } from 'node:path';
import { performance } from 'node:perf_hooks';
import type { Run } from '../artifact/run.js';
import type { Dataset } from '../data/sample.js';
import { PupilError } from '../errors.js';
import { Job } from '../job.js';
import { isBuiltIn, parametersOf } from '../models/index.js';
import type { Model } from '../models/model.js';
import type { LadderFile, PseudoLabelRound, Rung } from '../report/formats.js';
import { sizeOf } from '../tensor.js';
import {
  accuraciesOf,
  canChoose,
  countsOf,
  failureOf,
  labelPart,
  openChain,
  pairedGain,
  points,
  runStage,
  type Part,
  type Stage,
} from './stages.js';
import { secondsAnImage } from '../runs/estimate.js';
import type { RunEvent, TrainResult } from '../runs/events.js';
import { decidedByJob, learnOptions, rungNames, type LearnOptions, type RungName } from '../options/jobs.js';
import { checkOptions, knownTo, machineOptions, omit, pick, savedOptions } from '../options/option.js';
import { defaultModels, ladder, pseudoLabels, studentNoise } from '../options/recipes.js';
import { trainingOptions } from '../options/training.js';
import { refuseUseless, resolveSettings, useful, type Mode, type TrainOptions } from '../runs/resolve.js';
import { chooseModel } from '../runs/train.js';
import { techniqueOf } from '../techniques/index.js';
import { costOf } from '../techniques/technique.js';

export type { LearnOptions, RungName } from '../options/jobs.js';

/** What `learn --json` prints. */
export interface LearnResult extends TrainResult {
  readonly rungs: readonly Rung[];
}

export type LearnEvent = RunEvent | { readonly type: 'rung'; readonly rung: Rung };

/** What a rung is planned from. */
interface Situation {
  readonly options: LearnOptions;
  /** What is trained: a pretrained model or a built-in network. */
  readonly model: string;
  readonly mode: Exclude<Mode, 'probe'>;
  readonly labelled: number;
  readonly unlabelled: number;
  /** Epochs through the unlabelled images. */
  readonly epochs: number;
}

interface RungPlan {
  readonly what: string;
  /** Why it cannot be tried; undefined when it can. */
  readonly without?: (situation: Situation) => string | undefined;
  readonly options: (situation: Situation) => TrainOptions;
  /** The best rung below labels the unlabelled images, or is asked while training. */
  readonly teacher?: 'labels' | 'soft labels' | 'distils';
  /** Kept where it is as good as the best below within the interval: it is smaller. */
  readonly smaller?: true;
}

const noUnlabelled = ({ unlabelled }: Situation): string | undefined =>
  unlabelled === 0 ? 'there are no images without labels' : undefined;
/** The share of unlabelled images in a batch, where it was asked for. */
const mixed = ({ options }: Situation): TrainOptions => pick(options, decidedByJob.mixing);
const noisy = (situation: Situation): TrainOptions => ({
  ...mixed(situation),
  epochs: situation.epochs,
  ...studentNoise,
  ...pick(situation.options, decidedByJob.noise),
});

/** The rungs in order; a new one is a row. */
export const rungs = {
  'probe': {
    what: 'the head alone, solved on frozen features',
    without: ({ mode }) => (mode === 'scratch' ? 'a fresh network has no features yet' : undefined),
    options: () => ladder.rungs.probe,
  },
  'supervised': { what: 'the whole network on the labels', options: () => ladder.rungs.supervised },
  'augmentation': { what: 'the same with RandAugment', options: () => ladder.rungs.augmentation },
  'pseudo-labels': {
    what: 'labels and pseudo-labels of the best so far',
    without: noUnlabelled,
    teacher: 'labels',
    options: (situation) => ({ ...mixed(situation), epochs: situation.epochs, ...ladder.rungs['pseudo-labels'] }),
  },
  'fixmatch': {
    what: 'confident predictions as labels of strong views',
    without: noUnlabelled,
    options: (situation) => ({ ...mixed(situation), epochs: situation.epochs, ...ladder.rungs.fixmatch }),
  },
  'noisy student': {
    what: 'a student with noise on soft pseudo-labels',
    without: noUnlabelled,
    teacher: 'soft labels',
    options: noisy,
  },
  'noisy student 2': {
    what: 'the student as teacher of another',
    without: noUnlabelled,
    teacher: 'soft labels',
    options: noisy,
  },
  'distillation': {
    what: 'what the best has learned, in a smaller network',
    teacher: 'distils',
    smaller: true,
    without: ({ options }) => (options.student === undefined ? 'no --student was asked for' : undefined),
    options: ({ options, epochs }) => ({
      ...ladder.rungs.distillation,
      model: options.student!,
      mode: isBuiltIn(options.student!) ? 'scratch' : 'finetune',
      epochs: 2 * epochs,
    }),
  },
} satisfies Record<RungName, RungPlan>;

/** Which labels of a teacher are learned. */
const accepted = { 'labels': pseudoLabels.hard, 'soft labels': pseudoLabels.soft };

type Settled = LearnOptions & {
  readonly data: string | undefined;
  readonly model: string;
  readonly mode: Situation['mode'];
};

/**
 * Climbs the ladder on a data set. All is in the run folder: the rungs' own runs, `ladder.json`, the model of the rung that was kept, and a
 * report; `resume` goes on at any moment. Throws `usage`, `bad-data`, `interrupted`...
 *
 * @example
 * for await (const event of learn('photos', { model: 'backbone.onnx', unlabelled: ['more'], minutes: 30 })) {
 *   if (event.type === 'rung') console.log(event.rung.name, event.rung.selection?.top1, event.rung.kept);
 * }
 */
export const learn = (data: string | Dataset | undefined, options: LearnOptions = {}): Job<LearnEvent, LearnResult> =>
  new Job((signal) => climb(data, { ...options, signal }), options.signal);

async function* climb(
  data: string | Dataset | undefined,
  options: LearnOptions,
): AsyncGenerator<LearnEvent, LearnResult, undefined> {
  const started = performance.now();
  const chain = await openChain('learn', learnOptions, data, options, ladder.folds, (path) => settle(path, options));
  const { settings, dataset, parts, whole } = chain,
    classes = dataset.classes.length;
  if (!canChoose(parts))
    throw new PupilError('usage', 'nothing is held out to choose rungs on; give --folds 2 or more, or a val/ folder');
  const { labelled, unlabelled } = countsOf(whole);
  const situation: Situation = {
    options: settings,
    model: settings.model,
    mode: settings.mode,
    labelled,
    unlabelled,
    epochs: settings.studentEpochs ?? ladder.studentEpochs,
  };
  const shared = { ...rungOptions(settings), ...machineOptions(trainingOptions, options) };
  const model = yield* chooseModel(dataset, { ...shared, model: settings.model, mode: settings.mode });
  const run = await chain.open();
  const budget = settings.minutes === undefined ? Infinity : settings.minutes * 60;
  const planned = yield* plan(run, situation, parts, model, shared, classes);
  yield { type: 'plan', run: run.path, lines: describePlan(situation, parts, planned, budget) };

  const done: Rung[] = [],
    pseudo: PseudoLabelRound[] = [];
  let best: { stage: Stage; name: string; model: string } | undefined;
  let spent = 0,
    expected = 0;
  const save = async (): Promise<void> => {
    const file: LadderFile = {
      rungs: done,
      ...(best && { kept: best.name }),
      ...(budget < Infinity && { budgetMinutes: settings.minutes! }),
      seconds: spent,
    };
    await run.write('ladder.json', JSON.stringify(file, null, 1) + '\n');
    await run.write('pseudo-labels.json', JSON.stringify({ rounds: pseudo }) + '\n');
  };
  for (const { name, expectedSeconds, skip } of planned) {
    const row: RungPlan = rungs[name];
    // What was expected is corrected by how long the rungs before took.
    const scaled = expected > 0 ? expectedSeconds * (spent / expected) : expectedSeconds;
    const reason =
      skip ??
      (row.teacher && best === undefined
        ? 'there is no teacher yet'
        : best && spent + scaled > budget
          ? `would take about ${Math.round(scaled)} s, and ${Math.max(0, Math.round(budget - spent))} s are left`
          : undefined);
    if (reason !== undefined) {
      done.push({
        name,
        what: row.what,
        kept: false,
        skipped: true,
        reason,
        expectedSeconds: Math.round(expectedSeconds),
      });
      yield { type: 'rung', rung: done.at(-1)! };
      continue;
    }
    const own = row.options(situation),
      below = best;
    const network = own.model ?? situation.model;
    let stage: Stage;
    try {
      stage = yield* runStage(
        name,
        run.file(join('rungs', name.replaceAll(' ', '-'))),
        parts,
        shared,
        async function* (part) {
          const common: TrainOptions = { model: situation.model, mode: situation.mode, ...own };
          if (row.teacher === undefined) return common;
          const teacher = below!.stage.runs.get(part.folder)!;
          if (row.teacher === 'distils') return { ...common, teachers: [teacher] };
          const { file } = yield* labelPart(part, teacher, labelsOf(run, name, part), accepted[row.teacher], shared);
          return { ...common, pseudoLabels: file };
        },
      );
    } catch (error) {
      if (best === undefined) throw error;
      done.push({
        name,
        what: row.what,
        kept: false,
        skipped: true,
        reason: failureOf(error),
        expectedSeconds: Math.round(expectedSeconds),
      });
      yield { type: 'rung', rung: done.at(-1)! };
      continue;
    }
    spent += stage.seconds;
    expected += expectedSeconds;
    if (row.teacher !== undefined && row.teacher !== 'distils') {
      const { file: _, ...described } = yield* labelPart(
        whole,
        below!.stage.run,
        labelsOf(run, name, whole),
        accepted[row.teacher],
        shared,
      );
      pseudo.push({ ...described, round: pseudo.length + 1, teacher: below!.name });
    }
    const gain = below && pairedGain(below.stage.right, stage.right);
    const kept = gain === undefined || (row.smaller ? gain.mean > -gain.interval : gain.mean > 0);
    const parameters =
      parametersOf(network, classes) ?? (network === situation.model ? countParameters(model) : undefined);
    done.push({
      name,
      what: row.what,
      model: basename(network),
      ...(parameters !== undefined && { parameters }),
      ...accuraciesOf(stage, settings.reportOn),
      ...(gain && { gain }),
      kept,
      reason: reasonOf(gain, kept, row.smaller === true, below?.name),
      seconds: stage.seconds,
      expectedSeconds: Math.round(expectedSeconds),
      run: relative(run.path, stage.run),
    });
    if (kept) best = { stage, name, model: network };
    await save();
    yield { type: 'rung', rung: done.at(-1)! };
  }
  await save();
  if (!best) throw new PupilError('usage', 'no rung could be tried; give more --minutes, or other --rungs');
  const result: LearnResult = {
    ...best.stage.result,
    run: run.path,
    model: run.file('model.onnx'),
    best: { epoch: best.stage.result.best.epoch, top1: best.stage.selection.top1 },
    rungs: done,
    seconds: (performance.now() - started) / 1000,
  };
  await chain.finish(best.stage);
  await run.write('result.json', JSON.stringify(result, null, 2) + '\n');
  return result;
}

/** The options of a run with what it left open. Throws `usage` for what cannot be. */
function settle(data: string | undefined, options: LearnOptions): Settled {
  const rest = savedOptions(learnOptions, checkOptions(learnOptions, options));
  const model = options.model ?? defaultModels.pretrained;
  const settings: Settled = {
    ...rest,
    data,
    model,
    mode: options.mode === 'scratch' || isBuiltIn(model) ? 'scratch' : 'finetune',
  };
  const shared = { ...rungOptions(settings), mode: settings.mode };
  refuseUseless(
    shared,
    (settings.rungs ?? rungNames).map((name) => ({ ...shared, ...ladder.rungs[name] })),
  );
  resolveSettings(data, useful(shared));
  return settings;
}

/** What every rung is trained with. */
const rungOptions = (settings: LearnOptions): TrainOptions =>
  knownTo(
    trainingOptions,
    omit(settings, [...decidedByJob.images, ...decidedByJob.mixing, ...decidedByJob.noise, 'minutes', 'mode', 'model']),
  );

const labelsOf = (run: Run, rung: string, part: Part): string =>
  run.file(join('pseudo-labels', `${rung.replaceAll(' ', '-')}${part.folder === '' ? '' : `-${part.folder}`}`));

const countParameters = ({ parameters, statistics }: Model): number =>
  [...parameters].reduce((sum, [name, { dims }]) => sum + (statistics.has(name) ? 0 : sizeOf(dims)), 0);

function reasonOf(gain: Rung['gain'], kept: boolean, smaller: boolean, below: string | undefined): string {
  if (gain === undefined) return 'the first rung';
  const by = `${points(gain.mean)} ± ${(100 * gain.interval!).toFixed(1)} points against ${below!}`;
  if (smaller)
    return kept ? `as good within the interval, and smaller: ${by}` : `loses more than its size is worth: ${by}`;
  return kept ? by : `${by}: not better on held-out images`;
}

interface PlannedRung {
  readonly name: RungName;
  readonly expectedSeconds: number;
  /** Why it is not tried. */
  readonly skip?: string;
}

/**
 * What will run and how long it should take, from a few measured steps; kept in the run, so that a
 * resumed one has the same plan.
 */
async function* plan(
  run: Run,
  situation: Situation,
  parts: readonly Part[],
  model: Model,
  shared: TrainOptions,
  classes: number,
): AsyncGenerator<RunEvent, readonly PlannedRung[], undefined> {
  const before = await run.readJson<readonly PlannedRung[]>('plan.json');
  if (before) return before;
  yield { type: 'phase', name: 'measuring a step' };
  const { mode, options } = situation;
  const measured = await secondsAnImage(model, resolveSettings(undefined, useful({ ...shared, mode })), classes);
  const planned = (options.rungs ?? rungNames).map((name): PlannedRung => {
    const row: RungPlan = rungs[name],
      skip = row.without?.(situation);
    if (skip !== undefined) return { name, expectedSeconds: 0, skip };
    return {
      name,
      expectedSeconds: parts.length * (measured.start + measured.image * imagesOf(row, situation, shared)),
    };
  });
  await run.write('plan.json', JSON.stringify(planned, null, 1) + '\n');
  return planned;
}

/**
 * Images that go through the network in a rung's training, on one part; one that is only looked at
 * costs a third of a training step.
 */
function imagesOf(row: RungPlan, situation: Situation, shared: TrainOptions): number {
  const { labelled, unlabelled, mode } = situation,
    own = row.options(situation);
  if (own.mode === 'probe') return labelled / 3;
  const extra = {
    'labels': { pseudoLabels: 'labels.parquet' },
    'soft labels': { pseudoLabels: 'labels.parquet' },
    'distils': { teachers: ['teacher'] },
  };
  const settings = resolveSettings(
    undefined,
    useful({ ...shared, mode, ...own, ...(row.teacher && extra[row.teacher]) }),
  );
  const batchSize = settings.batchSize === 'auto' ? 32 : settings.batchSize;
  const epoch = costOf(techniqueOf(settings), { labelled, unlabelled }, { ...settings, batchSize });
  const labelling = row.teacher === 'labels' || row.teacher === 'soft labels' ? unlabelled / 3 : 0;
  return labelling + settings.epochs * epoch;
}

function describePlan(
  { labelled, unlabelled, model, mode }: Situation,
  parts: readonly Part[],
  planned: readonly PlannedRung[],
  budget: number,
): string[] {
  const { path, classes } = parts.at(-1)!.data;
  const total = planned.reduce((sum, { expectedSeconds }) => sum + expectedSeconds, 0);
  const time = (seconds: number): string =>
    seconds < 90 ? `${Math.round(seconds)} s` : `${(seconds / 60).toFixed(0)} min`;
  return [
    `data       ${path}: ${labelled} labelled images of ${classes.length} classes, ${unlabelled} without labels`,
    `model      ${model}, ${mode}`,
    `selection  ${parts.length > 1 ? `${parts.length - 1} folds over the labels, then all of them: each rung trains ${parts.length} times` : 'one held-out set, the same for every rung'}`,
    ...planned.map(
      ({ name, expectedSeconds, skip }, i) =>
        `${i === 0 ? 'rungs      ' : '           '}${name}: ${skip === undefined ? `about ${time(expectedSeconds)}` : `left out, ${skip}`}`,
    ),
    `time       about ${time(total)}${budget === Infinity ? '' : ` of ${time(budget)}: what does not fit any more is left out`}`,
  ];
}
