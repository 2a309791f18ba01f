/** Rung after rung: each is fitted into the time that is left, measured, and kept unless it is worse. */
import { join } from 'node:path';
import type { PlannedRung, Rung } from '../../artifact/formats.js';
import { runFiles } from '../../artifact/run-files.js';
import { PupilError } from '../../errors.js';
import { isBetterThanChance } from '../../evaluate/metrics.js';
import { isSmallerThan } from '../../models/size.js';
import { spelled, type RungName } from '../../options/jobs.js';
import { omit } from '../../options/option.js';
import { ladder, pseudoLabels } from '../../options/recipes.js';
import type { StepsTime } from '../../runs/context.js';
import type { RunEvent, TrainResult } from '../../runs/events.js';
import { resolveSettings, useful, type TrainOptions } from '../../runs/resolve.js';
import type { Chain } from '../chain.js';
import { omitRun, rightAsGuessing, type Stage } from '../stages.js';
import { climbRounds } from './climb-rounds.js';
import { createClimber, type Climb, type Climber, type LearnEvent } from './climber.js';
import type { Bar, Trained } from './judge.js';
import { teachesOnce } from './plan.js';
import { describeLabels, labelsBy, teachSmaller } from './rounds.js';
import { rungs, sharedOptions, startsFromScratch, trainingOf, type RungPlan } from './rungs.js';
import { epochsOn, goingOn, lookAt } from './scratch.js';
import {
  isAsked,
  keptFor,
  minutesUntil,
  mostEpochs,
  secondsFor,
  shortestOf,
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
  const { chain, planned, situation, budget } = work;
  for (const plan of planned) {
    const row = rungs[plan.name as RungName];
    if (plan.skip !== undefined) yield* climber.skip({ ...plan, what: row.what }, plan.skip);
    else if (row.measured === 'by rounds') yield* climbRounds(work, climber, plan);
    else {
      const { clock } = climber;
      const turn = (): Turn => ({ planned, situation, left: clock.left(), expected: clock.expected });
      yield* climber.attempt({
        ...plan,
        ...(row.smaller ? { leastSeconds: shortestOf(plan) } : {}),
        what: row.what,
        bar: barOf(row, work),
        teacher: row.teacher !== undefined,
        isShared: budget < Infinity && (teachesOnce(row, situation) || timedShare(situation, row) !== undefined),
        secondsFor: () => secondsFor(plan, { ...turn(), beside: (climber.beside() ?? 0) * chain.parts.length }),
        kept: () => keptFor(plan, turn()),
        train: (seconds) => trainRung(work, climber, { plan, row, seconds }),
      });
    }
  }
}

/** What a technique has to show on held-out labels: a smaller network is worth a loss within the interval. */
const barOf = ({ smaller: isStudent }: RungPlan, { smaller, network }: Climb): Bar | undefined =>
  isStudent && smaller ? (isSmallerThan(smaller, network) ? 'as good' : 'better') : undefined;

/** The files of the rung that is kept become those of the run. */
async function* keepBest(
  { chain, budget }: Climb,
  climber: Climber,
): AsyncGenerator<LearnEvent, Omit<LearnResult, 'run'>, undefined> {
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
  // Of a run that was killed on its way here there is nothing to say.
  if (!climber.hasWorked() && (await runFiles.result.exists(chain.run.path)))
    yield* climber.stop('nothing is left to train: each technique of the plan was tried before, or does not fit');
  const { result, selection } = best.stage;
  yield* warnOfGuessing(best, chain.dataset.classes.length);
  yield* chain.keep(best.stage, climber.clock.used);
  return {
    ...omitRun(result),
    model: runFiles.model.in(chain.run.path),
    best: { epoch: result.best.epoch, top1: selection.count > 0 ? selection.top1 : undefined },
    rungs: climber.rungs,
    seconds: climber.clock.used(),
  };
}

/** Says so where the model that is kept has learned nothing that its held-out labels could show. */
function* warnOfGuessing({ name, stage }: Trained, classes: number): Generator<RunEvent, void, undefined> {
  const { top1, count } = stage.selection;
  const right = Math.round(top1 * count);
  if (count === 0 || (right * classes > count && isBetterThanChance(right, count, classes))) return;
  yield {
    type: 'warning',
    message:
      `${name} is ${rightAsGuessing(stage, classes)}: give more time (\`resume\` with ` +
      '`minutes`), more labels, or a pretrained model',
  };
}

/** Of the time that a training has, this share is kept free. */
const spare = 0.05;

/** Trains a rung: on every part, or where it holds labels out itself on the whole. */
async function* trainRung(
  work: Climb,
  climber: Climber,
  { plan, row, seconds }: { readonly plan: PlannedRung; readonly row: RungPlan; readonly seconds: number | undefined },
): AsyncGenerator<RunEvent, Trained, undefined> {
  const { chain, situation, elapsed } = work;
  const { parts } = chain,
    { name } = plan;
  const began = elapsed(),
    folder = spelled(name);
  const best = climber.best();
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
  const agreed = consensusOf(climber);
  if (row.teacher === 'distils' && agreed) {
    // Two looks at the features of a network that is smaller than the one that was looked at before.
    const looks = climber.clock.expected(plan.besideSeconds ?? 0);
    const minutes = seconds && Math.max(1, (1 - 2 * spare) * (seconds - looks)) / 60;
    // The last look takes at least as long as the first one did.
    const time = (head = 0): StepsTime | undefined => {
      const follows = Math.max(looks / 2, head);
      return seconds === undefined
        ? undefined
        : { left: () => began + (1 - spare) * seconds - elapsed() - follows, follows };
    };
    const smaller = {
      name,
      folder: place,
      student: situation.options.student!,
      best: agreed.stage,
      situation,
      minutes,
      time,
      times: work.budget < Infinity && !isAsked(row, situation) ? ladder.smallerTimes.most : ladder.smallerTimes.usual,
    };
    const stage = yield* teachSmaller(chain, smaller);
    const { data } = chain.whole;
    const labels = describeLabels(data, await labelsBy(stage.run, data), await labelsBy(agreed.stage.run, data));
    return { name, model: smaller.student, stage, labels: { ...labels, teacher: name } };
  }
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
  const stage = yield* chain.stage(name, place, (part) => ({
    ...(from ? goingOn(from, part, situation) : {}),
    ...omit(own, from ? ['model', 'mode'] : []),
    epochs: epochsOn(chain, part, most),
    ...within(minutes?.(part)),
    teachers: row.teacher === 'distils' ? [teacher!.runs.get(part.folder)!] : undefined,
    pseudoLabels: labels?.files.get(part),
  }));
  return { name, model: own.model!, stage, labels: labels && { ...labels.described, teacher: best!.name } };
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

/** The rung that is kept, if it is a consensus on the features of a network. */
function consensusOf(climber: Climber): Trained | undefined {
  const best = climber.best();
  return best?.labels === undefined || best.options?.mode !== 'consensus' ? undefined : best;
}
