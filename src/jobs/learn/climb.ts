/** Rung after rung: each is fitted into the time that is left, measured, and kept unless it is worse. */
import { basename, join } from 'node:path';
import type { PlannedRung, Rung } from '../../artifact/formats.js';
import { runFiles } from '../../artifact/run-files.js';
import { PupilError } from '../../errors.js';
import { besideChance, showsMoreThanChance } from '../../evaluate/metrics.js';
import { isSmallerThan } from '../../models/size.js';
import { spelled, type RungName } from '../../options/jobs.js';
import { omit } from '../../options/option.js';
import { pseudoLabels } from '../../options/recipes.js';
import type { RunEvent, TrainResult } from '../../runs/events.js';
import { resolveSettings, useful, type TrainOptions } from '../../runs/resolve.js';
import type { Chain } from '../chain.js';
import { omitRun, type Stage } from '../stages.js';
import { climbRounds } from './climb-rounds.js';
import { climbSmaller, teachByConsensus, type Teaching } from './climb-smaller.js';
import { createClimber, type Attempt, type Climb, type Climber, type LearnEvent } from './climber.js';
import type { Bar, Trained } from './judge.js';
import { teachesOnce } from './plan.js';
import { describeLabels, labelsBy } from './rounds.js';
import {
  knowsLess,
  leftOutWithout,
  rungs,
  sharedOptions,
  startsFromScratch,
  trainingOf,
  type RungPlan,
} from './rungs.js';
import { epochsOn, goingOn, lookAt } from './scratch.js';
import {
  keptFor,
  minutesUntil,
  mostEpochs,
  secondsFor,
  shortestOf,
  spare,
  timedShare,
  within,
  type Turn,
} from './time.js';

/** What `learn --json` prints. */
export interface LearnResult extends TrainResult {
  /** Of all sessions. */
  readonly seconds: number;
  readonly rungs: readonly Rung[];
}

/** Which labels of a teacher are learned. */
const accepted = { 'labels': pseudoLabels.hard, 'soft labels': pseudoLabels.soft };

/** Tries rung after rung; keeps what is not worse than those below. Writes the time that was used however it ends. */
export async function* climb(work: Climb): AsyncGenerator<LearnEvent, Omit<LearnResult, 'run'>, undefined> {
  const climber = createClimber(work);
  let isOver = false;
  try {
    await climber.record();
    yield* climbAll(work, climber);
    const result = yield* keepBest(work, climber);
    isOver = true;
    await climber.record();
    return result;
  } finally {
    // What has ended it counts, not that a disk is full now.
    if (!isOver) await climber.record().catch(() => undefined);
  }
}

async function* climbAll(work: Climb, climber: Climber): AsyncGenerator<LearnEvent, void, undefined> {
  for (const plan of work.planned) {
    const { what, measured, smaller } = rungs[plan.name as RungName];
    const attempt = (teaching?: Teaching): AsyncGenerator<LearnEvent, unknown, undefined> =>
      climber.attempt(attemptOf(work, climber, plan, teaching));
    if (plan.skip !== undefined) yield* climber.skip({ ...plan, what }, plan.skip);
    else if (measured === 'by rounds') yield* climbRounds(work, climber, plan);
    else if (smaller) yield* climbSmaller(work, climber, { name: plan.name, what }, attempt);
    else yield* attempt();
  }
}

/** A technique of the plan, or one more student. */
function attemptOf(work: Climb, climber: Climber, plan: PlannedRung, teaching?: Teaching): Attempt {
  const { chain, planned, situation, budget } = work,
    { clock } = climber;
  const row = rungs[plan.name as RungName];
  const turn = (): Turn => ({ planned, situation, left: clock.left(), expected: clock.expected });
  return {
    ...plan,
    what: row.what,
    ...(teaching ? { ...omit(teaching, ['teacher']), leastSeconds: shortestOf(plan) } : {}),
    bar: barOf(plan.name as RungName, work),
    teacher: row.teacher !== undefined,
    isShared: budget < Infinity && (teachesOnce(row, situation) || timedShare(situation, row) !== undefined),
    secondsFor: () => secondsFor(plan, { ...turn(), beside: (climber.beside() ?? 0) * chain.parts.length }),
    kept: () => keptFor(plan, turn()),
    train: (seconds) =>
      trainRung(work, climber, {
        ...{ plan, row, seconds },
        name: teaching?.name ?? plan.name,
        best: teaching?.teacher ?? climber.best(),
      }),
  };
}

/**
 * What a technique has to show on held-out labels: a smaller network is worth a loss within the interval, and what
 * learns from labels alone replaces rounds where it is right more often beyond it.
 */
function barOf(name: RungName, { situation, smaller, network }: Climb): Bar | undefined {
  if (rungs[name].smaller && smaller) return isSmallerThan(smaller, network) ? 'as good' : 'better';
  // From scratch what learns from labels alone makes as many of its steps as fit in its share, as what came before did.
  if (situation.mode === 'scratch' && rungs[name].reads.includes('epochs')) return undefined;
  return knowsLess(name, situation) ? 'better from labels alone' : 'no loss when taught';
}

/** The files of the rung that is kept become those of the run. */
async function* keepBest(
  work: Climb,
  climber: Climber,
): AsyncGenerator<LearnEvent, Omit<LearnResult, 'run'>, undefined> {
  const { chain, budget } = work;
  const best = climber.best();
  if (!best) {
    const reasons = climber.rungs.map(({ name, reason }) => `${name}: ${reason}`).join('; ');
    const isTimed = budget < Infinity;
    throw new PupilError(
      'usage',
      `no technique could be tried (${reasons}); ${isTimed ? 'raise `minutes`, or ' : ''}choose other \`rungs\``,
      { option: isTimed ? 'minutes' : 'rungs' },
    );
  }
  const without = leftOutWithout(work.situation);
  if (isUnused(work, climber)) yield* climber.stop(unused(climber.clock.left(), climber.rungs));
  else if (without !== undefined) yield* climber.stop(without);
  // Of a run that was killed on its way here there is nothing to say.
  if (!climber.hasWorked() && (await runFiles.result.exists(chain.run.path)))
    yield* climber.stop('nothing is left to train: each technique of the plan was tried before, or does not fit', {
      isRecorded: false,
    });
  const { result, selection } = best.stage;
  yield* warnOfChance(best, work);
  yield* warnOfSize(best, work);
  yield* chain.keep(best.stage, async () => {
    // The report reads the record, too.
    await climber.record();
    return climber.clock.used();
  });
  return {
    ...omitRun(result),
    model: runFiles.model.in(chain.run.path),
    best: { epoch: result.best.epoch, top1: selection.count > 0 ? selection.top1 : undefined },
    rungs: climber.rungs,
    seconds: climber.clock.used(),
  };
}

/** The share of the time from which on it is said why it is not used. */
const noticed = 0.1;

/** Whether time is left that unlabelled images would use. */
const isUnused = ({ budget, situation }: Climb, { clock }: Climber): boolean =>
  budget < Infinity &&
  situation.unlabelled === 0 &&
  situation.options.rungs === undefined &&
  clock.left() > noticed * budget;

/** Why so many seconds are not used, after these rungs. */
export function unused(left: number, tried: readonly Rung[]): string {
  const late = tried.filter(({ lackedTime }) => lackedTime).map(({ name }) => name);
  const why =
    late.length > 0
      ? `less than ${late.join(' or ')} would take: \`resume\` with more \`minutes\`, or give images without labels, ` +
        'with `unlabelled`, from which `learn` learns more in the same time'
      : 'all that learns from the labels alone was tried; images without labels, given with `unlabelled`, let ' +
        '`learn` use more time';
  return `${Math.floor(left)} s are not used: ${why}`;
}

/** Says so where held-out labels cannot show that the model which is kept has learned something. */
function* warnOfChance({ name, stage }: Trained, { chain, situation, budget }: Climb): Generator<RunEvent, void> {
  const { top1, count, independent } = stage.selection,
    classes = chain.dataset.classes.length;
  const right = Math.round(top1 * count);
  if (count === 0 || showsMoreThanChance(right, count, classes, independent)) return;
  const advice =
    right * classes > count
      ? ['label more images']
      : [
          ...(budget < Infinity ? ['give more time (`resume` with `minutes`)'] : []),
          'label more images',
          situation.mode === 'scratch' ? 'begin with a pretrained `model`' : 'try another `model`',
        ];
  const message = `${name} is ${besideChance(right, count, classes, 'held-out images')}: ${advice.join(', or ')}`;
  yield { type: 'warning', message };
}

/** Says so where a smaller network was asked for, and the model that is kept is another. */
function* warnOfSize({ name, model }: Trained, { situation, smaller, network }: Climb): Generator<RunEvent, void> {
  const { student } = situation.options;
  if (smaller === undefined || model === student || !isSmallerThan(smaller, network)) return;
  const other = basename(student!);
  const message = `the model of this run is that of ${name}, not the smaller ${other}, which did not take its place`;
  yield { type: 'warning', message };
}

interface Training {
  readonly plan: PlannedRung;
  readonly row: RungPlan;
  readonly name: string;
  /** What is kept so far, or of a student its teacher. */
  readonly best: Trained | undefined;
  readonly seconds: number | undefined;
}

/** Trains a rung: on every part, or where it holds labels out itself on the whole. */
async function* trainRung(
  work: Climb,
  climber: Climber,
  { plan, row, name, best, seconds }: Training,
): AsyncGenerator<RunEvent, Trained, undefined> {
  const { chain, situation, elapsed } = work;
  const { parts } = chain;
  const began = elapsed(),
    folder = spelled(name);
  const own: TrainOptions = { model: situation.model, mode: situation.mode, ...row.options(situation) };
  const place = join('rungs', folder);
  if (row.measured === 'by itself') {
    // From scratch there are features only of what was trained, on each part for itself.
    const isOwn = own.mode === 'consensus' && situation.mode === 'scratch';
    const stage = yield* isOwn
      ? lookAt(chain, { name, folder: place, network: best!.stage, situation })
      : chain.alone(name, place, own);
    const labels =
      own.mode === 'consensus'
        ? describeLabels(chain.whole.data, await labelsBy(stage.run, chain.whole.data), undefined)
        : undefined;
    const options = isOwn ? undefined : own;
    return { name, model: own.model!, stage, options, labels: labels && { ...labels, teacher: name } };
  }
  if (row.teacher === 'distils' && best && isConsensus(best))
    return yield* teachByConsensus(work, climber, { name, teacher: best, plan, row, seconds });
  const teacher = row.teacher && (yield* inAllParts(chain, best!));
  const labels =
    row.teacher === undefined || row.teacher === 'distils'
      ? undefined
      : yield* chain.label(teacher!, folder, accepted[row.teacher]);
  const { epochs } = resolveSettings(undefined, useful(trainingOf(row, situation, sharedOptions(situation.options))));
  const beside = climber.beside() ?? (plan.besideSeconds ?? 0) / parts.length;
  const minutes =
    seconds === undefined ? undefined : minutesUntil({ parts, at: began + (1 - spare) * seconds, elapsed, beside });
  const most = work.budget < Infinity ? mostEpochs(row, situation, epochs) : epochs;
  const from = labels && startsFromScratch(situation) ? best!.stage : undefined;
  const stage = yield* chain.stage(name, place, (part, together) => ({
    ...(from ? goingOn(from, part, situation) : {}),
    ...omit(own, from ? ['model', 'mode'] : []),
    epochs: epochsOn(chain, part, most),
    ...within(minutes?.(part, together)),
    teachers: row.teacher === 'distils' ? [teacher!.runs.get(part.folder)!] : undefined,
    pseudoLabels: labels?.files.get(part),
  }));
  // Where the time is divided in shares, as many epochs as fit are planned: far more than the usual ones.
  const completed = stage.completed === undefined ? undefined : Math.min(1, (stage.completed * most) / epochs);
  return {
    ...{ name, model: own.model!, stage: { ...stage, completed } },
    labels: labels && { ...labels.described, teacher: best!.name },
  };
}

/**
 * A teacher that was trained on every part: what measured itself is trained again without the labels
 * of each fold, so that its student is measured on labels that it has not seen.
 */
async function* inAllParts(
  chain: Chain,
  { name, stage, options }: Trained,
): AsyncGenerator<RunEvent, Stage, undefined> {
  if (chain.parts.every(({ folder }) => stage.runs.has(folder)) || options === undefined) return stage;
  return yield* chain.stage(`${name} for every fold`, join('rungs', `${spelled(name)}-in-folds`), options);
}

/** Whether a rung is a consensus on the features of a network. */
const isConsensus = ({ labels, options }: Trained): boolean => labels !== undefined && options?.mode === 'consensus';
