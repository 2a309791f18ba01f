import { readFile } from 'node:fs/promises';
import { basename, join, relative } from 'node:path';
import { performance } from 'node:perf_hooks';
import type { Run } from '../artifact/run.js';
import type { Dataset } from '../data/sample.js';
import { PupilError } from '../errors.js';
import { worseThanChance } from '../evaluate/pseudo-labels.js';
import { Job } from '../job.js';
import { isBuiltIn, largerThan, parametersOf } from '../models/index.js';
import type { PseudoLabelRound, StudentRound } from '../report/formats.js';
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
import type { RunEvent, TrainResult } from '../runs/events.js';
import { withoutUnlabelled } from '../runs/images.js';
import { decidedByJob, selfTrainOptions, type SelfTrainOptions } from '../options/jobs.js';
import { checkOptions, knownTo, machineOptions, omit, savedOptions } from '../options/option.js';
import { pseudoLabels, selfTraining, studentNoise } from '../options/recipes.js';
import { trainingOptions } from '../options/training.js';
import { refuseUseless, resolveSettings, useful, type TrainOptions } from '../runs/resolve.js';

/**
 * Self-training with Noisy Student (Xie et al. 2020, "Self-training with Noisy Student improves
 * ImageNet classification"):
 *
 *   1. train a teacher on the labelled images
 *   2. the teacher, without noise, labels the unlabelled images
 *   3. train an equal or larger student on both kinds together, with noise: RandAugment, dropout,
 *     stochastic depth
 *   4. the student becomes the teacher
 *   5. from 2 again
 *
 * Labels below `threshold` are filtered, classes balanced (the most confident first, duplicates
 * where a class is short), labels soft. It ends when a round no longer helps beyond its interval on
 * held-out labels; the best is kept. With few labels and no folds nothing is held out: all rounds
 * are trained and the last student is kept.
 */
export type { SelfTrainOptions } from '../options/jobs.js';

/** What `self-train --json` prints. */
export interface SelfTrainResult extends TrainResult {
  readonly rounds: readonly StudentRound[];
}

export type SelfTrainEvent = RunEvent | { readonly type: 'round'; readonly round: StudentRound };

type Settled = SelfTrainOptions & {
  readonly data: string | undefined;
  readonly model: string;
  readonly students: readonly string[];
};

/**
 * Trains in rounds of teacher and student. Everything is in the run folder, so that `resume` goes on
 * at any moment of any round. Throws `usage`, `bad-data`, `interrupted`...
 *
 * @example
 * for await (const event of selfTrain('photos', { model: 'resnet20', mode: 'scratch', unlabelled: ['more'] })) {
 *   if (event.type === 'round') console.log(event.round.student, event.round.selection.top1);
 * }
 */
export const selfTrain = (
  data: string | Dataset | undefined,
  options: SelfTrainOptions = {},
): Job<SelfTrainEvent, SelfTrainResult> =>
  new Job((signal) => trainInRounds(data, { ...options, signal }), options.signal);

async function* trainInRounds(
  data: string | Dataset | undefined,
  options: SelfTrainOptions,
): AsyncGenerator<SelfTrainEvent, SelfTrainResult, undefined> {
  const started = performance.now();
  const chain = await openChain('self-train', selfTrainOptions, data, options, selfTraining.folds, (path) =>
    settle(path, options),
  );
  const { settings, dataset, parts, whole } = chain;
  if (countsOf(whole).unlabelled === 0) throw withoutUnlabelled(dataset);
  const run = await chain.open();
  yield { type: 'plan', run: run.path, lines: describePlan(settings, parts) };

  const shared = { ...teacherOptions(settings), ...machineOptions(trainingOptions, options) };
  const rounds: StudentRound[] = [];
  const labelled: PseudoLabelRound[] = [];
  const stages: Stage[] = [];
  let best = 0,
    stopped: string | undefined;
  for (let round = 0; round <= settings.students.length; round++) {
    const student = round === 0 ? settings.model : settings.students[round - 1]!;
    const before = stages.at(-1);
    let stage: Stage;
    try {
      stage = yield* runStage(
        round === 0 ? 'teacher' : `round ${round}: ${basename(student)}`,
        run.file(join('rounds', String(round))),
        parts,
        shared,
        async function* (part) {
          if (before === undefined) return { model: student };
          const { file, ...described } = yield* labelPart(
            part,
            before.runs.get(part.folder)!,
            pseudoLabelsOf(run, round, part),
            {
              threshold: settings.threshold ?? pseudoLabels.soft.threshold,
              balance: settings.balance ?? true,
              soft: settings.soft ?? true,
            },
            shared,
          );
          if (part === whole) labelled.push({ ...described, round, teacher: relative(run.path, before.run) });
          return noisyStudent(settings, student, file);
        },
      );
    } catch (error) {
      if (before === undefined) throw error;
      stopped = `round ${round} could not be trained: ${failureOf(error)}`;
      await run.write('rounds.json', JSON.stringify({ kept: best, rounds, stopped }, null, 1) + '\n');
      break;
    }
    if (round > 0 && labelled.length < round)
      labelled.push({ ...(await labelledBefore(run, round, whole)), round, teacher: relative(run.path, before!.run) });
    // Where nothing is held out there is nothing to choose on: all rounds are trained, and the last
    // student is the result.
    const measured = canChoose(parts);
    const gain = before && measured ? pairedGain(stages[best]!.right, stage.right) : undefined;
    const helped = gain === undefined ? undefined : gain.mean > gain.interval;
    stages.push(stage);
    rounds.push(describeRound(round, student, stage, run, settings.reportOn, dataset.classes.length, gain, helped));
    yield { type: 'round', round: rounds.at(-1)! };
    if (round === 0) {
      const bad = measured ? worseThanChance(stage.selection.top1, dataset.classes.length) : undefined;
      if (bad !== undefined) throw new PupilError('bad-data', bad);
    }
    if (!measured || (gain && gain.mean > 0)) best = round;
    await run.write('pseudo-labels.json', JSON.stringify({ rounds: labelled }) + '\n');
    if (helped === false && round < settings.students.length) {
      stopped = `round ${round} no longer helps: ${points(gain!.mean)} ± ${points(gain!.interval)} points on ${stage.selection.count} held-out images`;
    }
    await run.write(
      'rounds.json',
      JSON.stringify({ kept: best, rounds, ...(stopped !== undefined && { stopped }) }, null, 1) + '\n',
    );
    if (stopped !== undefined) break;
  }
  if (stopped !== undefined) yield { type: 'note', message: stopped };
  const result: SelfTrainResult = {
    ...stages[best]!.result,
    run: run.path,
    model: run.file('model.onnx'),
    best: { epoch: best, ...(canChoose(parts) && { top1: stages[best]!.selection.top1 }) },
    rounds,
    seconds: (performance.now() - started) / 1000,
  };
  await chain.finish(stages[best]!);
  await run.write('result.json', JSON.stringify(result, null, 2) + '\n');
  return result;
}

/** The options of a run with what it left open. Throws `usage` for what cannot be. */
function settle(data: string | undefined, options: SelfTrainOptions): Settled {
  const rest = savedOptions(selfTrainOptions, checkOptions(selfTrainOptions, options));
  if (options.model === undefined)
    throw new PupilError(
      'usage',
      'self-train needs a first teacher, a built-in name or a pretrained model; name it with `model`',
      { option: 'model' },
    );
  const mode = options.mode ?? (isBuiltIn(options.model) ? 'scratch' : 'finetune');
  const { rounds = options.students?.length ?? selfTraining.rounds } = options;
  const students = [...(options.students ?? [options.model])];
  while (students.length < rounds) students.push(largerThan(students.at(-1)!) ?? students.at(-1)!);
  const settings = { ...rest, data, mode, model: options.model, rounds, students: students.slice(0, rounds) };
  const teacher = teacherOptions(settings);
  const student = { ...teacher, ...noisyStudent(settings, students[0]!, 'labels.parquet') };
  refuseUseless(teacher, [teacher, student]);
  for (const training of [teacher, student]) resolveSettings(data, useful(training));
  return settings;
}

/** What the first teacher is trained with. */
const teacherOptions = (settings: SelfTrainOptions): TrainOptions =>
  knownTo(
    trainingOptions,
    omit(settings, [
      ...decidedByJob.images,
      ...decidedByJob.mixing,
      ...decidedByJob.noise,
      'threshold',
      'balance', // both are of the pseudo-labels here
    ]),
  );

/** Step 3: larger, on both kinds of images, with noise. */
const noisyStudent = (settings: SelfTrainOptions, model: string, pseudoLabels: string): TrainOptions => ({
  model,
  pseudoLabels,
  mode: isBuiltIn(model) ? 'scratch' : 'finetune',
  epochs: settings.studentEpochs ?? selfTraining.studentEpochs,
  augment: settings.studentAugment ?? studentNoise.augment,
  dropout: settings.dropout ?? studentNoise.dropout,
  stochasticDepth: settings.stochasticDepth ?? studentNoise.stochasticDepth,
  unlabelledRatio: settings.unlabelledRatio,
  unlabelledWeight: settings.unlabelledWeight,
});

/** Where the labels for a part are kept; those of the whole as `pseudo-labels/round-K.parquet`. */
const pseudoLabelsOf = (run: Run, round: number, part: Part): string =>
  run.file(join('pseudo-labels', `round-${round}${part.folder === '' ? '' : `-${part.folder}`}`));

async function labelledBefore(run: Run, round: number, whole: Part): Promise<Omit<PseudoLabelRound, 'round'>> {
  return JSON.parse(await readFile(`${pseudoLabelsOf(run, round, whole)}.json`, 'utf8')) as Omit<
    PseudoLabelRound,
    'round'
  >;
}

function describeRound(
  round: number,
  student: string,
  stage: Stage,
  { path }: Run,
  reportOn: TrainOptions['reportOn'],
  classes: number,
  gain: StudentRound['gain'],
  helped: boolean | undefined,
): StudentRound {
  const parameters = parametersOf(student, classes);
  return {
    round,
    student: basename(student),
    ...(parameters !== undefined && { parameters }),
    ...accuraciesOf(stage, reportOn),
    ...(gain && { gain }),
    ...(helped !== undefined && { helped }),
    seconds: stage.seconds,
    run: relative(path, stage.run),
  };
}

function describePlan({ students, model, ...settings }: Settled, parts: readonly Part[]): string[] {
  const whole = parts.at(-1)!,
    { labelled, unlabelled } = countsOf(whole);
  const {
    studentEpochs = selfTraining.studentEpochs,
    threshold = pseudoLabels.soft.threshold,
    studentAugment = studentNoise.augment,
  } = settings;
  const augment = typeof studentAugment === 'string' ? studentAugment : studentAugment.name;
  return [
    `data       ${whole.data.path}: ${labelled} labelled images of ${whole.data.classes.length} classes, ${unlabelled} unlabelled`,
    `selection  ${!canChoose(parts) ? 'nothing is held out: all rounds are trained, the last student is kept' : parts.length > 1 ? `${parts.length - 1}-fold over the labels: each round trains ${parts.length} times` : 'one held-out set, the same in every round'}`,
    `teacher    ${model}`,
    `students   ${students.join(', ')}: ${studentEpochs} epochs on labels and pseudo-labels from ${threshold} on, ${(settings.soft ?? true) ? 'soft' : 'hard'}`,
    `noise      ${augment}, dropout ${settings.dropout ?? studentNoise.dropout}, stochastic depth ${settings.stochasticDepth ?? studentNoise.stochasticDepth}`,
  ];
}
