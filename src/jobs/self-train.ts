import { basename, relative } from 'node:path';
import type { Gain, PseudoLabelRound, RunResult, StudentRound } from '../artifact/formats.js';
import { runFiles } from '../artifact/run-files.js';
import { counted } from '../data/dataset.js';
import type { Preprocessing } from '../data/preprocessing.js';
import type { Dataset } from '../data/sample.js';
import { PupilError } from '../errors.js';
import { besideChance, isBetterThanChance } from '../evaluate/metrics.js';
import type { Job } from '../job.js';
import { isBuiltIn, largerThan, parametersOf } from '../models/index.js';
import { decidedByJob, selfTrainOptions, type SelfTrainOptions } from '../options/jobs.js';
import { isFrozen, knownTo, omit, savedOptions } from '../options/option.js';
import { pseudoLabels, selfTraining, studentNoise } from '../options/recipes.js';
import { trainingOptions } from '../options/training.js';
import { gainText } from '../report/intervals.js';
import { chooseModel } from '../runs/choose-model.js';
import type { RunEvent, TrainResult } from '../runs/events.js';
import { withoutUnlabelled } from '../runs/images.js';
import { openOnce, type OpenModel } from '../runs/open-once.js';
import { unwarned } from '../runs/relay.js';
import { refuseUseless, resolveSettings, useful, type TrainOptions } from '../runs/resolve.js';
import type { WithValues } from '../runs/values.js';
import { planOfRanks } from '../runs/ranks.js';
import { openChain, openChainImages, type Chain } from './chain.js';
import { inCrew, refuseUndivided } from './crew.js';
import { job } from './job.js';
import { canChoose, countsOf } from './parts.js';
import { modeFor } from './learn/rungs.js';
import { accuraciesOf, failureOf, omitRun, stageGain, type Stage } from './stages.js';

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
 * where a class is short), labels soft. The paper trains three rounds and takes the last student. On
 * few labels a round may also harm, so the model that is most often right on held-out labels is kept,
 * and the rounds end where one gains no more than its interval. Where nothing is held out, all rounds
 * are trained and the last student is kept.
 */
export type { SelfTrainOptions } from '../options/jobs.js';
/**
 * What `selfTrain` can be told: what a training can, and how the rounds go (docs/options.md).
 */
export interface SelfTrainRequest extends WithValues<SelfTrainOptions> {}

/** What `self-train --json` prints. */
export interface SelfTrainResult extends TrainResult {
  /** The round whose student is the result; 0: the first teacher. */
  readonly kept: number;
  readonly rounds: readonly StudentRound[];
}

export type SelfTrainEvent = RunEvent | { readonly type: 'round'; readonly round: StudentRound };

type Settled = SelfTrainOptions & {
  readonly data: string | undefined;
  readonly model: string;
  readonly students: readonly string[];
};

const command = { command: 'self-train', table: selfTrainOptions, together: inCrew };

/**
 * Trains in rounds of teacher and student. Everything is in the run folder, so that `resume` goes on
 * at any moment of any round. Throws `usage`, `bad-data`, `interrupted`...
 *
 * @example
 * const { rounds, kept } = await selfTrain('photos', { model: 'resnet20', mode: 'scratch', unlabelled: ['more'] });
 * console.log(rounds[kept]?.selection?.top1);
 */
export function selfTrain(
  data: string | Dataset | undefined,
  told: SelfTrainRequest = {},
): Job<SelfTrainEvent, SelfTrainResult> {
  return job<Settled, SelfTrainOptions, SelfTrainEvent, SelfTrainResult>(command, data, told, async function* (shell) {
    const { options } = shell;
    const settings = shell.resumed?.config.settings ?? settle(shell.path, options);
    refuseUndivided(shell, trainingsIn(settings));
    const shared = teacherOptions(settings);
    const open = openOnce([settings.model, ...settings.students]);
    const images = await openChainImages(shell, settings);
    const learning = yield* inputsOf(images.dataset, settings, { open, signal: shell.signal });
    const chain = await openChain(shell, {
      settings,
      images,
      inputs: { learning, looking: [] },
      shared,
      told: options,
      open,
      folds: selfTraining.folds,
    });
    if (countsOf(chain.whole.data).unlabelled === 0) throw withoutUnlabelled(chain.dataset);
    yield {
      type: 'plan',
      run: chain.run.path,
      lines: [...describePlan(settings, chain), ...planOfRanks(shell.ranks)],
    };
    const { path } = chain.run;
    let isOver = false;
    try {
      const rounds = yield* shell.worked.during(trainInRounds(chain, settings), path);
      isOver = true;
      return rounds;
    } finally {
      if (!isOver) await shell.worked.keep(path);
    }
  });
}

/** How the teacher and all students see images. What is warned of them their trainings say again. */
async function* inputsOf(
  dataset: Dataset,
  settings: Settled,
  { open, signal }: { readonly open: OpenModel; readonly signal: AbortSignal },
): AsyncGenerator<RunEvent, Preprocessing[], undefined> {
  const inputs: Preprocessing[] = [];
  for (const training of trainingsIn(settings))
    inputs.push((yield* unwarned(chooseModel(dataset, { ...training, signal }, open))).preprocessing);
  return inputs;
}

async function* trainInRounds(
  chain: Chain,
  settings: Settled,
): AsyncGenerator<SelfTrainEvent, Omit<SelfTrainResult, keyof RunResult>, undefined> {
  const record = keepRecord(chain, settings);
  const { model, minutes } = inTime(settings, chain);
  let teacher = yield* chain.stage('teacher', 'rounds/0', { model, minutes }); // 1
  yield await record.add(settings.model, teacher);
  for (const [i, model] of settings.students.entries()) {
    const student = yield* record.attempt(teachStudent(chain, settings, { round: i + 1, model, teacher })); // 2, 3
    if (student === undefined) break;
    yield await record.add(model, student.stage, student.labels);
    if (record.isOver()) break;
    teacher = student.stage; // 4
  } // 5
  return yield* record.end();
}

/** Steps 2 and 3: the teacher labels without noise, the student learns with noise. */
async function* teachStudent(
  chain: Chain,
  settings: Settled,
  { round, model, teacher }: { readonly round: number; readonly model: string; readonly teacher: Stage },
): AsyncGenerator<RunEvent, Student, undefined> {
  const { threshold = pseudoLabels.soft.threshold, balance = true, soft = true } = settings;
  const { files, described } = yield* chain.label(teacher, `round-${round}`, { threshold, balance, soft });
  const timed = inTime(settings, chain);
  const stage = yield* chain.stage(`round ${round}: ${basename(model)}`, `rounds/${round}`, (part) =>
    noisyStudent(timed, model, files.get(part)!),
  );
  return { stage, labels: { ...described, round, teacher: relative(chain.run.path, teacher.run) } };
}

interface Student {
  readonly stage: Stage;
  readonly labels: PseudoLabelRound;
}

/** What every round brought: in `rounds.json` and `pseudo-labels.json`, and when to stop. */
function keepRecord(chain: Chain, { students, reportOn, mode }: Settled) {
  const { run, parts, dataset } = chain;
  const rounds: StudentRound[] = [],
    stages: Stage[] = [],
    labelled: PseudoLabelRound[] = [];
  let kept = 0,
    stopped: string | undefined;
  const save = async (): Promise<void> => {
    await runFiles.pseudoLabels.write(run.path, { rounds: labelled });
    await runFiles.rounds.write(run.path, { kept, rounds, stopped });
  };
  return {
    /** Whether there is no use in another round. */
    isOver: () => stopped !== undefined,
    async add(student: string, stage: Stage, labels?: PseudoLabelRound): Promise<SelfTrainEvent> {
      const round = rounds.length,
        best = stages[kept];
      // Where nothing is held out there is nothing to choose on: all rounds are trained, and the
      // last student is the result.
      const gain = best && canChoose(parts) ? stageGain(best, stage) : undefined;
      const helped = gain && gain.mean > gain.interval;
      if (round === 0 && canChoose(parts)) assertTeaches(stage, dataset.classes.length, mode);
      stages.push(stage);
      if (labels) labelled.push(labels);
      rounds.push({
        round,
        student: basename(student),
        parameters: parametersOf(student, dataset.classes.length),
        ...accuraciesOf(stage, reportOn),
        gain,
        helped,
        seconds: stage.seconds,
        run: relative(run.path, stage.run),
      });
      if (!canChoose(parts) || (gain && gain.mean > 0)) kept = round;
      if (helped === false && round < students.length) stopped = endingOf(round, gain!, stage, kept);
      await save();
      return { type: 'round', round: rounds.at(-1)! };
    },
    /** A round that cannot be trained ends the rounds; those before it stand. */
    async *attempt(round: AsyncGenerator<RunEvent, Student, undefined>): AsyncGenerator<RunEvent, Student | undefined> {
      try {
        return yield* round;
      } catch (error) {
        stopped = `round ${rounds.length} could not be trained: ${failureOf(error)}`;
        await save();
        return undefined;
      }
    },
    /** The best round is the result. */
    async *end(): AsyncGenerator<RunEvent, Omit<SelfTrainResult, keyof RunResult>, undefined> {
      if (stopped !== undefined) yield { type: 'note', message: stopped };
      const { result, selection } = stages[kept]!;
      yield* chain.keep(stages[kept]!);
      const best = { epoch: result.best.epoch, top1: canChoose(parts) ? selection.top1 : undefined };
      return { ...omitRun(result), model: runFiles.model.in(run.path), best, rounds, kept };
    },
  };
}

/** Why the rounds end, and which model is the result. */
function endingOf(round: number, gain: Gain, { selection: { count } }: Stage, kept: number): string {
  const which = kept === 0 ? 'the first teacher' : `round ${kept}`;
  return (
    `no further round: round ${round} gained ${gainText(gain)} points on ${count} held-out images, which is not more ` +
    `than its interval; the final model is that of ${which}, the best on these images`
  );
}

/** Throws `bad-data` for a teacher that is right no more often than chance. */
function assertTeaches(stage: Stage, classes: number, mode: TrainOptions['mode']): void {
  const { top1, count, independent } = stage.selection;
  const right = Math.round(top1 * count);
  if (isBetterThanChance(right, count, classes, independent)) return;
  const model = mode === 'scratch' ? 'from a pretrained model' : 'from another model';
  throw new PupilError(
    'bad-data',
    `the teacher is ${besideChance(right, count, classes, 'held-out images')}; its pseudo-labels would teach ` +
      `mistakes: train it longer, on more labels, or ${model}`,
  );
}

/** The options of a run with what it left open. Throws `usage` for what cannot be. */
function settle(data: string | undefined, options: SelfTrainOptions): Settled {
  const rest = savedOptions(selfTrainOptions, options);
  if (options.model === undefined)
    throw new PupilError(
      'usage',
      'self-train needs a first teacher, a built-in name or a pretrained model; name it with `model`',
      { option: 'model' },
    );
  const usual = modeFor(options.model, isFrozen(options.mode) ? 'finetune' : options.mode);
  const mode = options.mode ?? usual;
  refuseUnreached(options);
  const { rounds = options.students?.length ?? selfTraining.rounds } = options;
  const students = [...(options.students ?? [options.model])];
  while (students.length < rounds) students.push(largerThan(students.at(-1)!) ?? students.at(-1)!);
  const settings = { ...rest, data, mode, model: options.model, rounds, students: students.slice(0, rounds) };
  const trainings = trainingsIn(settings);
  refuseUseless(teacherOptions(settings), trainings);
  for (const training of trainings) resolveSettings(data, useful(training));
  return settings;
}

/** That of the teacher and those of the students. */
function trainingsIn(settings: Settled): TrainOptions[] {
  const teacher = teacherOptions(settings);
  const students = [...new Set(settings.students)];
  return [teacher, ...students.map((model) => ({ ...teacher, ...noisyStudent(settings, model, 'labels.parquet') }))];
}

/** Refuses students of rounds that will not be. Throws `usage`. */
function refuseUnreached({ students = [], rounds = Infinity }: SelfTrainOptions): void {
  if (students.length <= rounds) return;
  throw new PupilError(
    'usage',
    `\`students\` names ${students.length} networks, one for each round, and \`rounds\` is ${rounds}; ` +
      'leave `rounds` out, or name fewer',
    { option: 'students' },
  );
}

/** The time that is given, divided equally among all trainings: those of every round on every part. */
function inTime(settings: Settled, { parts, atOnce: { trainings } }: Chain): Settled {
  const { minutes, students } = settings;
  return { ...settings, minutes: minutes && minutes / ((1 + students.length) * Math.ceil(parts.length / trainings)) };
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
  minutes: settings.minutes,
  unlabelledRatio: settings.unlabelledRatio,
  unlabelledWeight: settings.unlabelledWeight,
});

function describePlan(settings: Settled, { parts, atOnce: { trainings } }: Chain): string[] {
  const { students, model, epochs, minutes, soft = true } = settings;
  const whole = parts.at(-1)!,
    { labelled, unlabelled } = countsOf(whole.data);
  const {
    threshold = pseudoLabels.soft.threshold,
    studentAugment = studentNoise.augment,
    dropout = studentNoise.dropout,
    stochasticDepth = studentNoise.stochasticDepth,
    studentEpochs = selfTraining.studentEpochs,
  } = settings;
  const augment = typeof studentAugment === 'string' ? studentAugment : studentAugment.name;
  const validation = !canChoose(parts)
    ? 'none: all rounds are trained, and the last student is the final model'
    : parts.length > 1
      ? `${parts.length - 1}-fold cross-validation over the labels: each round trains ${parts.length} times`
      : 'the same held-out images in every round';
  const lines = [
    `data       ${whole.data.path}: ${labelled} labelled images of ${whole.data.classes.length} classes, ` +
      `${unlabelled} unlabelled`,
    `validation ${validation}`,
    `teacher    ${model}${epochs === undefined ? '' : `: ${counted(epochs, 'epoch')} on the labelled images`}`,
    `students   ${students.join(', ')}: ${counted(studentEpochs, 'epoch')} on labels and pseudo-labels from ` +
      `${threshold} on, ${soft ? 'soft' : 'hard'}`,
    `noise      ${augment}, dropout ${dropout}, stochastic depth ${stochasticDepth}`,
  ];
  if (minutes !== undefined)
    lines.push(
      `time       ${minutes} min, divided equally among ${(1 + students.length) * parts.length} trainings` +
        (trainings > 1 ? `, ${trainings} at once` : ''),
    );
  return lines;
}
