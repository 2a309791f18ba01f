/** Rung after rung: each is fitted into the time that is left, measured, and kept unless it is worse. */
import { basename, join, relative } from 'node:path';
import type { PlannedRung, PseudoLabelRound, Rung, RunResult } from '../../artifact/formats.js';
import { runFiles } from '../../artifact/run-files.js';
import { PupilError, type ErrorCode } from '../../errors.js';
import { isBuiltIn, parametersOf } from '../../models/index.js';
import type { Model } from '../../models/model.js';
import { spelled, type RungName } from '../../options/jobs.js';
import { omit, pick } from '../../options/option.js';
import { ladder, pseudoLabels } from '../../options/recipes.js';
import { consensusLabels } from '../../runs/consensus-head.js';
import type { RunEvent, TrainResult } from '../../runs/events.js';
import { resolveSettings, useful, type TrainOptions } from '../../runs/resolve.js';
import { sizeOf } from '../../tensor.js';
import type { Chain } from '../chain.js';
import { until, type Clock, createClock } from '../clock.js';
import { accuraciesOf, failureOf, omitRun, type Stage } from '../stages.js';
import { isAstray, judge, type Trained } from './judge.js';
import { teachesOnce } from './plan.js';
import {
  agreement,
  describeLabels,
  epochsOf,
  labelsBy,
  meanLabels,
  roundsOf,
  studentSeconds,
  teachSmaller,
  trainRound,
} from './rounds.js';
import {
  furtherNetworks,
  rungs,
  sharedOptions,
  trainingOf,
  startsFromScratch,
  type RungPlan,
  type Situation,
} from './rungs.js';
import { epochsOn, goingOn, lookAt, timeShare, trainOwnRound } from './scratch.js';

/** What `learn --json` prints. */
export interface LearnResult extends TrainResult {
  readonly rungs: readonly Rung[];
}

export type LearnEvent = RunEvent | { readonly type: 'rung'; readonly rung: Rung };

/** Which labels of a teacher are learned. */
const accepted = { 'labels': pseudoLabels.hard, 'soft labels': pseudoLabels.soft };

export interface Climb {
  readonly chain: Chain;
  readonly situation: Situation;
  readonly planned: readonly PlannedRung[];
  /** Seconds: all that may be used. */
  readonly budget: number;
  /** Seconds since this session began. */
  elapsed(): number;
  /** What most rungs train. */
  readonly network: Model;
  /** That learns last, where one does. */
  readonly smaller: Model | undefined;
}

/** What may be tried. */
interface Attempt {
  readonly name: string;
  readonly what: string;
  readonly expectedSeconds: number;
  readonly leastSeconds?: number | undefined;
  /** Kept where it is as good within the interval: it is smaller. */
  readonly smaller?: boolean | undefined;
  readonly teacher?: boolean | undefined;
  /** Of the time that is left, it takes this share; default: what it takes. */
  readonly share?: number | undefined;
  /** Trains within so many seconds; undefined: it takes what it takes. */
  train(seconds: number | undefined): AsyncGenerator<RunEvent, Trained, undefined>;
}

interface Climber {
  readonly clock: Clock;
  /** The rung that is kept so far. */
  best(): Trained | undefined;
  /** A rung that was trained, by its name. */
  trained(name: string): Trained | undefined;
  /** Tries a rung. Returns it where it was trained and kept. */
  attempt(attempt: Attempt): AsyncGenerator<LearnEvent, Trained | undefined, undefined>;
  skip(
    rung: Pick<Rung, 'name' | 'what' | 'expectedSeconds'>,
    reason: string,
  ): AsyncGenerator<LearnEvent, undefined, undefined>;
  readonly rungs: readonly Rung[];
}

/** Tries rung after rung; keeps what is not worse than those below. */
export async function* climb(work: Climb): AsyncGenerator<LearnEvent, Omit<LearnResult, keyof RunResult>, undefined> {
  const { chain, planned } = work;
  const climber = createClimber(work);
  for (const plan of planned) {
    const row = rungs[plan.name as RungName];
    if (plan.skip !== undefined) yield* climber.skip({ ...plan, what: row.what }, plan.skip);
    else if (row.measured === 'by rounds') yield* climbRounds(work, climber, plan);
    else {
      yield* climber.attempt({
        ...plan,
        share: shareOf(work, row),
        what: row.what,
        smaller: row.smaller,
        teacher: row.teacher !== undefined,
        train: (seconds) => trainRung(work, climber, { name: plan.name, row, seconds }),
      });
    }
  }
  const best = climber.best();
  if (!best) {
    throw new PupilError(
      'usage',
      'no technique could be tried in the time given; raise `minutes`, or choose other `rungs`',
      { option: 'minutes' },
    );
  }
  const { result, selection } = best.stage;
  yield* chain.keep(best.stage);
  return {
    ...omitRun(result),
    model: runFiles.model.in(chain.run.path),
    best: { epoch: result.best.epoch, top1: selection.count > 0 ? selection.top1 : undefined },
    rungs: climber.rungs,
  };
}

/** The codes of what is no reason to lose the rungs before: theirs is the model of the run. */
const faults: readonly ErrorCode[] = ['usage', 'not-found', 'bad-model', 'unsupported', 'bad-path', 'network'];

/** What is wrong with a rung, not with the program. An interruption, a full disk, a bug are thrown on. */
const faultOf = (error: unknown): string =>
  error instanceof PupilError && faults.includes(error.code) ? error.message : failureOf(error);

/** The share of the time left that a training takes which can use as much as there is. */
const shareOf = ({ situation, budget }: Climb, row: RungPlan): number | undefined =>
  budget === Infinity ? undefined : teachesOnce(row, situation) ? 1 : timedShare(situation, row);

const timedShare = (situation: Situation, { share }: RungPlan): number | undefined =>
  startsFromScratch(situation) ? share : undefined;

function createClimber(work: Climb): Climber {
  const { chain, budget } = work;
  const { run } = chain;
  const tried: Rung[] = [],
    labelled: PseudoLabelRound[] = [],
    stages = new Map<string, Trained>();
  const clock = createClock(budget, work.elapsed);
  let best: Trained | undefined;
  const add = async function* (rung: Rung): AsyncGenerator<LearnEvent, undefined, undefined> {
    tried.push(rung);
    const budgetMinutes = budget < Infinity ? budget / 60 : undefined;
    await runFiles.ladder.write(run.path, { rungs: tried, kept: best?.name, budgetMinutes, seconds: clock.used() });
    await runFiles.pseudoLabels.write(run.path, { rounds: labelled });
    yield { type: 'rung', rung };
    return undefined;
  };
  const skip: Climber['skip'] = ({ name, what, expectedSeconds }, reason) =>
    add({ name, what, expectedSeconds, kept: false, skipped: true, reason });
  return {
    clock,
    rungs: tried,
    best: () => best,
    trained: (name) => stages.get(name),
    skip,
    async *attempt({ name, what, expectedSeconds, leastSeconds = expectedSeconds, smaller, teacher, share, train }) {
      const told = { name, what, expectedSeconds: Math.round(expectedSeconds) };
      if (teacher && best === undefined) return yield* skip(told, 'there is no teacher yet');
      const left = clock.left();
      if (best !== undefined && clock.expected(leastSeconds) > left)
        return yield* skip(
          told,
          `would take at least ${Math.round(clock.expected(leastSeconds))} s, and ` +
            `${Math.max(0, Math.round(left))} s are left`,
        );
      const within = best !== undefined && clock.expected(expectedSeconds) > left ? left : undefined;
      const seconds = share === undefined ? within : share * left;
      const began = work.elapsed();
      let trained: Trained | undefined;
      try {
        trained = yield* until(() => best !== undefined && clock.isOver(), train(seconds));
      } catch (error) {
        if (best === undefined) throw error;
        return yield* skip(told, faultOf(error));
      }
      if (trained === undefined)
        return yield* skip(told, 'stopped, the time was up; it continues where you `resume` with more `minutes`');
      const took = trained.stage.seconds;
      const expected = share === undefined ? Math.min(expectedSeconds, seconds ?? Infinity) : took;
      clock.done({ expected, took, now: work.elapsed() - began });
      if (trained.labels) labelled.push({ ...trained.labels, round: labelled.length + 1 });
      const judged = judge(trained, [...stages.values()], best, smaller === true);
      stages.set(name, trained);
      if (judged.kept) best = trained;
      yield* add({ ...told, ...described(work, trained), ...judged });
      return judged.kept ? trained : undefined;
    },
  };
}

/** What a rung gave, and at what cost. */
function described(
  { chain: { run, dataset }, situation, network, smaller }: Climb,
  { model, stage }: Trained,
): Pick<Rung, 'model' | 'parameters' | 'selection' | 'test' | 'seconds' | 'run'> {
  const counted = parametersOf(model, dataset.classes.length);
  const own = model === situation.model ? network : model === situation.options.student ? smaller : undefined;
  return {
    model: basename(model),
    parameters: counted ?? (own && countParameters(own)),
    ...accuraciesOf(stage, situation.options.reportOn),
    seconds: stage.seconds,
    run: relative(run.path, stage.run),
  };
}

const countParameters = ({ parameters, statistics }: Model): number =>
  [...parameters].reduce((sum, [name, { dims }]) => sum + (statistics.has(name) ? 0 : sizeOf(dims)), 0);

/** Trains a rung: on every part, or where it holds labels out itself on the whole. */
async function* trainRung(
  work: Climb,
  climber: Climber,
  { name, row, seconds }: { readonly name: string; readonly row: RungPlan; readonly seconds: number | undefined },
): AsyncGenerator<RunEvent, Trained, undefined> {
  const { chain, situation } = work;
  const began = work.elapsed(),
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
    const looks = (isBuiltIn(situation.options.student!) ? 1 : 2) * climber.trained('consensus')!.stage.seconds;
    const minutes = seconds && Math.max(1, 0.9 * (seconds - looks)) / 60;
    const smaller = {
      name,
      folder: place,
      student: situation.options.student!,
      best: agreed.stage,
      situation,
      minutes,
      times: work.budget < Infinity && !isAsked(row, situation) ? ladder.smallerTimes.most : ladder.smallerTimes.usual,
    };
    return { name, model: smaller.student, stage: yield* teachSmaller(chain, smaller) };
  }
  const teacher = row.teacher && (yield* inAllParts(chain, best!));
  const labels =
    row.teacher === undefined || row.teacher === 'distils'
      ? undefined
      : yield* chain.label(teacher!, folder, accepted[row.teacher]);
  const { epochs } = resolveSettings(undefined, useful(trainingOf(row, situation, sharedOptions(situation.options))));
  // Labels have taken their part of the time.
  const left = seconds && Math.max(1, seconds - (work.elapsed() - began));
  const minutes = left && (0.9 * left) / 60;
  const isTimed = work.budget < Infinity && timedShare(situation, row) !== undefined;
  const most = isTimed && !isAsked(row, situation) ? ladder.mostEpochs : epochs;
  const from = labels && startsFromScratch(situation) ? best!.stage : undefined;
  const stage = yield* chain.stage(name, place, (part) => ({
    ...(from ? goingOn(from, part, situation) : {}),
    ...omit(own, from ? ['model', 'mode'] : []),
    epochs: epochsOn(chain, part, most),
    minutes: minutes && minutes * timeShare(chain, part),
    teachers: row.teacher === 'distils' ? [teacher!.runs.get(part.folder)!] : undefined,
    pseudoLabels: labels?.files.get(part),
  }));
  return { name, model: own.model!, stage, labels: labels && { ...labels.described, teacher: best!.name } };
}

/** Whether the number of epochs was given. */
const isAsked = ({ reads }: RungPlan, { options }: Situation): boolean =>
  (['epochs', 'studentEpochs'] as const).some((name) => reads.includes(name) && options[name] !== undefined);

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

/** Round after round, until labels no longer change or the time is up. */
async function* climbRounds(
  work: Climb,
  climber: Climber,
  plan: PlannedRung,
): AsyncGenerator<LearnEvent, void, undefined> {
  const { chain, situation, budget } = work;
  const { clock } = climber;
  const first = climber.trained('consensus');
  const told = { ...plan, what: rungs.rounds.what };
  if (first === undefined) return yield* climber.skip(told, 'there is no consensus to begin with');
  const isOwn = situation.mode === 'scratch';
  const rounds = roundsOf(situation);
  const left = timeForRounds(work, clock);
  let before = await labelsBy(first.stage.run, chain.whole.data),
    last: Trained = first,
    taught: Taught = ownLabels(first);
  for (let round = 1; round <= (budget < Infinity ? ladder.mostRounds : rounds); round++) {
    const name = `round ${round}`;
    // From scratch a round begins with its consensus; that of the first one is there.
    const look = isOwn && round > 1 ? first.stage.seconds : 0;
    const one = plan.expectedSeconds / rounds + look;
    const shortest = plan.leastSeconds === undefined ? one : plan.leastSeconds + look;
    const least = round === 1 ? shortest : Math.max(shortest, ladder.laterRound * one);
    if (round > 1 && clock.expected(least) > left()) return;
    let labels = before;
    const kept = yield* climber.attempt({
      name,
      what: whatOfRound(round, isOwn, taught),
      expectedSeconds: one,
      leastSeconds: least,
      async *train() {
        const beside = isOwn ? look : besideStudent(work, climber, plan);
        const seconds = studentSeconds({ left: left(), round: clock.expected(one), beside, spare: isOwn ? 0.1 : 0.05 });
        const shown = {
          name,
          folder: join('rungs', spelled(name)),
          epochs: epochsOf(situation),
          minutes: budget < Infinity ? seconds / 60 : undefined,
        };
        const { stage, labels: run } = isOwn
          ? yield* trainOwnRound(chain, {
              ...shown,
              network: last.stage,
              consensus: round === 1 ? first.stage : undefined,
              situation,
            })
          : yield* trainRound(chain, {
              ...shown,
              model: first.stage.run,
              labels: taught.file,
              teachers: pick(situation.options, furtherNetworks),
            });
        if (run !== first.stage.run) labels = await labelsBy(run, chain.whole.data);
        return {
          name,
          model: situation.model,
          stage,
          options: first.options,
          labels:
            labels === before ? undefined : { ...describeLabels(chain.whole.data, labels, before), teacher: name },
          // A consensus is sure of labels that its network was told: they do not tell whether it went astray.
          agreement: isOwn ? undefined : agreement(before, labels),
        };
      },
    });
    if ((kept?.labels?.moved ?? 1) < ladder.settled) return;
    // A round that failed has no labels; from scratch the same network would be looked at once more.
    const other = kept || isOwn ? undefined : climber.trained(name);
    if (kept) {
      before = labels;
      last = kept;
      taught = ownLabels(kept);
    } else if (other && !isAstray(other.agreement)) taught = await labelsOfBoth(chain, last, other);
    else return;
  }
}

/**
 * Seconds that a round takes beside the training of its student: as planned, or, where the first consensus
 * took longer than its part of that, as it did; it may also have found its features made.
 */
function besideStudent({ planned }: Climb, { clock, trained }: Climber, { besideSeconds = 0 }: PlannedRung): number {
  const looking = planned.find(({ name }) => name === 'consensus')!.expectedSeconds;
  const rest = Math.max(0, besideSeconds - looking);
  return clock.expected(rest) + Math.max(trained('consensus')!.stage.seconds, clock.expected(looking));
}

/**
 * Seconds: rounds leave a smaller network what it takes, and where there is much time the share of it that helps
 * it more than one round more does; up to half of what there is.
 */
function timeForRounds({ planned }: Climb, clock: Clock): () => number {
  const after = planned.find(({ name, skip }) => name === 'distillation' && skip === undefined);
  const { expectedSeconds = 0, mostSeconds = expectedSeconds } = after ?? {};
  const wanted = Math.max(expectedSeconds, Math.min(mostSeconds, ladder.smallerTimes.share * clock.left()));
  return () => {
    const all = clock.left();
    return all === Infinity ? all : all - Math.min(all / 2, clock.expected(wanted));
  };
}

/** What the student of a round learns. */
interface Taught {
  /** A file of soft labels. */
  readonly file: string;
  /** What a person reads: the labels of... */
  readonly by: string;
}

const ownLabels = ({ name, stage }: Trained): Taught => ({ file: consensusLabels(stage.run), by: name });

/** After a round that was not kept: two students err in different places. */
const labelsOfBoth = async ({ whole, run }: Chain, one: Trained, other: Trained): Promise<Taught> => ({
  file: await meanLabels(
    [consensusLabels(one.stage.run), consensusLabels(other.stage.run)],
    run.file(join('rungs', spelled(other.name), 'mean-labels.parquet')),
    whole.data.classes,
  ),
  by: `${one.name} and ${other.name}, their means`,
});

const whatOfRound = (round: number, isOwn: boolean, { by }: Taught): string =>
  isOwn
    ? `a student of the consensus${round === 1 ? '' : ` on the student of round ${round - 1}`}`
    : round === 1
      ? 'a student of the consensus, and a consensus on its features'
      : `the same on the labels of ${by}`;
