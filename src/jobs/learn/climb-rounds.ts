/** Round after round of consensus and student (rounds.ts), as long as labels change and time is left. */
import { join } from 'node:path';
import type { PlannedRung } from '../../artifact/formats.js';
import { spelled } from '../../options/jobs.js';
import { pick } from '../../options/option.js';
import { ladder } from '../../options/recipes.js';
import { accuracyText } from '../../report/intervals.js';
import { consensusLabels } from '../../runs/consensus-head.js';
import type { StepsTime } from '../../runs/context.js';
import type { RunEvent } from '../../runs/events.js';
import type { Chain } from '../chain.js';
import { forTime, tooLong, type Climb, type Climber, type LearnEvent } from './climber.js';
import { isAstray, percent, type Trained } from './judge.js';
import {
  agreement,
  describeLabels,
  epochsOf,
  labelsBy,
  meanLabels,
  roundsOf,
  studentSeconds,
  trainRound,
  type Round,
} from './rounds.js';
import { furtherNetworks, rungs } from './rungs.js';
import { trainOwnRound } from './scratch.js';
import { forSmaller, leastOfSmaller, minutesUntil, usualOf, type MinutesFor } from './time.js';

/** Round after round, until labels no longer change or the time is up. */
export async function* climbRounds(
  work: Climb,
  climber: Climber,
  plan: PlannedRung,
): AsyncGenerator<LearnEvent, void, undefined> {
  const { chain, situation, budget } = work;
  const first = climber.trained('consensus');
  const told = { ...plan, what: rungs.rounds.what };
  if (first === undefined) return yield* climber.skip(told, 'there is no consensus to begin with');
  const isOwn = situation.mode === 'scratch',
    isTimed = budget < Infinity;
  if (!isOwn && expectedRight(first) < leastRight(chain.dataset.classes.length) && !climber.isFinished('round 1'))
    return yield* climber.skip(told, tooManyWrong(first));
  const time = timeOfRounds(work, climber, { plan, first });
  const most = isTimed ? ladder.mostRounds : roundsOf(situation);
  let before = await labelsBy(first.stage.run, chain.whole.data),
    last: Trained = first,
    taught: Taught = ownLabels(first),
    cut: string | undefined,
    ending =
      `${most} rounds are the most` + (isTimed ? '' : ' where no time is given; `resume` with `minutes` for more');
  for (let round = 1; round <= most; round++) {
    const name = `round ${round}`;
    const looks = !isOwn || last !== first,
      what = isOwn ? whatOfOwn(looks ? last.name : undefined) : whatOfRound(round, taught);
    const { expected, least, worth, left, kept: forStudent, beside, student, planned } = time.of(round, looks);
    if (worth > left && !climber.isFinished(name)) {
      const long = tooLong(least, { left, kept: forStudent });
      if (round === 1) return yield* climber.skip({ name, what, expectedSeconds: expected }, long, forTime);
      const why =
        least > left
          ? `another ${long}`
          : `another would have ${Math.max(0, Math.floor(left))} s, and is not worth it below ${Math.ceil(worth)} s`;
      ending = `${cut ?? why}; \`resume\` with more \`minutes\``;
      break;
    }
    let labels = before,
      did: Did = { beside: undefined };
    const from = { round, first, last, taught },
      isKnown = climber.isFinished(name);
    const kept = yield* climber.attempt({
      name,
      what,
      expectedSeconds: Math.min(expected, beside + student),
      usualSeconds: expected,
      leastSeconds: 0,
      asPlanned: (took) => planned(took, did),
      // From scratch the student's own last layer is kept, which few steps only disturb; else a new consensus.
      bar: isOwn ? 'no less often when taught' : undefined,
      async *train() {
        const { stage, labels: run, ...round } = yield* trainFrom(work, from, { time, beside, student });
        did = { beside: round.beside, completed: stage.completed };
        if (!isKnown) time.took({ ...round, stage });
        if (run !== first.stage.run) labels = await labelsBy(run, chain.whole.data);
        const described =
          labels === before ? undefined : { ...describeLabels(chain.whole.data, labels, before), teacher: name };
        // A consensus is sure of labels that its network was told: they do not tell whether it went astray.
        const agreed = isOwn ? undefined : agreement(before, labels);
        return { name, model: situation.model, stage, options: first.options, labels: described, agreement: agreed };
      },
    });
    const tried = kept ?? climber.trained(name);
    if (tried === undefined) return; // The round itself says why it has no labels.
    // From scratch the labels of a round are those of a consensus on the student before.
    const labeller = isOwn ? last : tried;
    cut = isKnown ? undefined : shareOfSteps(tried);
    const over = endingAfter(tried, { isKept: kept !== undefined, isOwn, labeller });
    if (over !== undefined) {
      ending = over;
      break;
    }
    if (kept) {
      before = labels;
      last = kept;
      taught = ownLabels(kept);
    } else if (!isOwn && !isShort(tried)) taught = await labelsOfBoth(chain, last, tried);
  }
  yield* climber.stop(`no further round: ${ending}`);
}

/** The share of a consensus' labels that is likely right: as sure as it is in the mean, or right on held-out ones. */
const expectedRight = ({ labels, stage: { selection } }: Trained): number =>
  Math.max(labels?.meanConfidence ?? 1, selection.count > 0 ? selection.top1 : 0);

/** The share of right labels below which no rounds begin: too few in any case, or hardly more than by guessing. */
const leastRight = (classes: number): number =>
  Math.max(ladder.rightLabels, 1 / classes + ladder.aboveChance * (1 - 1 / classes));

function tooManyWrong({ labels, stage: { selection } }: Trained): string {
  const share = (of: number): string => `${Math.round(100 * of)}%`;
  const sure = labels && `${share(labels.meanConfidence)} sure of its labels in the mean`,
    right = selection.count > 0 && `right on ${accuracyText(selection)} of ${selection.count} held-out images`;
  const what = [sure, right].filter(Boolean).join(' and ');
  return `the consensus is only ${what}: students of such labels were not better; label more images of each class`;
}

/** Whether a round's student had less time for its steps than a round has to have that follows another. */
const isShort = (round: Trained | undefined): boolean => (round?.stage.completed ?? 1) < ladder.laterRound;

/** Says that of a round which is short in that sense; undefined for others. */
const shareOfSteps = (round: Trained): string | undefined =>
  isShort(round) ? `${round.name} had time for ${percent(round.stage.completed!)} of its steps` : undefined;

/**
 * Why no round follows one that was tried; undefined: another may. With the steps that a short one lacked, another is
 * no longer the same.
 */
function endingAfter(
  round: Trained,
  told: { readonly isKept: boolean; readonly isOwn: boolean; readonly labeller: Trained },
): string | undefined {
  const { name, agreement: agreed, labels: { moved = 1 } = {} } = round;
  if (told.isKept)
    return moved < ladder.settled && !isShort(told.labeller)
      ? `${percent(moved)} of the labels changed in ${name}, fewer than ${percent(ladder.settled)}`
      : undefined;
  if (isShort(round)) return undefined;
  if (told.isOwn) return `${name} is not kept, and another would begin with the same network as it did`;
  return isAstray(agreed)
    ? `the labels of ${name} are not kept, and another would learn the same as it did`
    : undefined;
}

/** The student of a round, and the consensus before or after it. */
function trainFrom(
  { chain, situation, budget, elapsed }: Climb,
  {
    round,
    first,
    last,
    taught,
  }: { readonly round: number; readonly first: Trained; readonly last: Trained; readonly taught: Taught },
  { time, beside, student }: { readonly time: RoundTimes; readonly beside: number; readonly student: number },
): AsyncGenerator<RunEvent, Round, undefined> {
  const isTimed = budget < Infinity,
    name = `round ${round}`;
  const shown = { name, folder: join('rungs', spelled(name)), epochs: epochsOf(situation) };
  if (situation.mode === 'scratch')
    return trainOwnRound(chain, {
      ...shown,
      network: last.stage,
      consensus: last === first ? first.stage : undefined,
      situation,
      minutes: isTimed ? time.minutes(beside + student) : undefined,
    });
  return trainRound(chain, {
    ...shown,
    model: first.stage.run,
    labels: taught.file,
    teachers: pick(situation.options, furtherNetworks),
    ...(isTimed ? { minutes: student / 60, time: time.steps(elapsed() + beside + student, student) } : {}),
  });
}

/** What a round took beside its student, and the share of its steps that the student's time allowed; absent: all. */
type Did = Pick<Round, 'beside'> & Pick<Round['stage'], 'completed'>;

/** The time of rounds, in seconds. */
interface RoundTimes {
  /** Of a round whose turn has come; `looks`: whether a consensus is part of it. */
  of(
    round: number,
    looks: boolean,
  ): {
    /** With all its epochs, in its shortest form, and below which it is not begun. */
    readonly expected: number;
    readonly least: number;
    readonly worth: number;
    /** For it and those that follow, beside what is kept for a smaller network. */
    readonly left: number;
    readonly kept: number;
    /** What it takes beside its student, and what that may take. */
    readonly beside: number;
    readonly student: number;
    /** What was planned for what it did, which took so long in all. */
    planned(took: number, did: Did): number;
  };
  /** Minutes for the steps of a student on each part, for one that has to end in so many seconds. */
  minutes(seconds: number): MinutesFor;
  /** Of a student's steps, `most` seconds at most, in a round that has to end by the clock `elapsed` at `end`. */
  steps(end: number, most: number): StepsTime;
  /** What a round of this session took. */
  took(round: Pick<Round, 'beside' | 'after' | 'stage'>): void;
}

/**
 * What a round takes, beside its student and for all steps of that, is what the one before took in this session, or
 * else as planned.
 */
function timeOfRounds(
  work: Climb,
  { clock, beside, spentOn }: Climber,
  { plan, first }: { readonly plan: PlannedRung; readonly first: Trained },
): RoundTimes {
  const { chain, situation, planned, elapsed } = work;
  const isOwn = situation.mode === 'scratch';
  const { besideSeconds = 0, leastSeconds = usualOf(plan) / roundsOf(situation) } = plan;
  const steps = Math.max(0, usualOf(plan) / roundsOf(situation) - besideSeconds);
  const all = clock.left();
  const looking = usualOf(planned.find(({ name }) => name === 'consensus')!);
  /** What the first consensus took, but for what is not done again. */
  const firstLook = Math.max(0, first.stage.seconds - (first.imageSeconds ?? 0));
  /** What a consensus takes: as planned, or as the first one did if longer; it may have found its features made. */
  const oneLook = (): number => Math.max(firstLook, clock.expected(looking));
  let measured: number | undefined, after: number | undefined, allSteps: number | undefined;
  return {
    of(round, looks) {
      const { expected } = clock;
      const time = clock.left(),
        kept = time === Infinity ? 0 : forSmaller({ planned, situation, left: time, expected }, all),
        left = time - kept;
      // From scratch a round begins with its consensus, that on the first network is there; and the students'
      // beginnings are part of what they may take.
      const look = looks ? (measured ?? firstLook) : 0;
      const around = isOwn ? look : (measured ?? expected(Math.max(0, besideSeconds - looking)) + oneLook());
      const begins = isOwn ? expected(besideSeconds) : 0;
      const one = around + begins + (allSteps ?? expected(steps));
      // Of one that goes on, some was done before.
      const toCome = (seconds: number): number => Math.max(around + begins, seconds - spentOn(`round ${round}`));
      const least = toCome(around + begins + expected(Math.max(0, leastSeconds - besideSeconds)));
      const student =
        left < Infinity ? studentSeconds({ left, round: one, beside: around, spare: isOwn ? 0.1 : 0.05 }) : Infinity;
      return {
        expected: one,
        least,
        worth: round === 1 ? least : Math.max(least, toCome(ladder.laterRound * one)),
        left,
        kept,
        beside: around,
        student,
        planned(took, { beside, completed }) {
          const look = isOwn && looks ? looking : 0;
          if (!isOwn || completed === undefined) return look + besideSeconds + (completed ?? 1) * steps;
          // Several trainings share the steps' time: only what it took beside them tells how fast the machine is.
          return beside === undefined ? took : Math.max(0, took - beside) + look;
        },
      };
    },
    minutes: (seconds) =>
      minutesUntil({
        parts: chain.parts,
        at: elapsed() + seconds,
        elapsed,
        beside: beside() ?? besideSeconds / chain.parts.length,
      }),
    steps(end, most) {
      const look = after ?? oneLook();
      return {
        left: () => Math.min(most, end - elapsed() - look),
        follows: look + clock.expected(leastOfSmaller(planned)),
      };
    },
    took(round) {
      measured = round.beside ?? measured;
      const { seconds, completed = 1 } = round.stage;
      // From scratch that is of several trainings, which share the steps' time.
      if (!isOwn) allSteps = Math.max(0, seconds - (round.beside ?? 0)) / completed;
      after = round.after ?? after;
    },
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

/** From scratch; `looksAt`: the round whose student its consensus looks at, where it has one of its own. */
const whatOfOwn = (looksAt: string | undefined): string =>
  `a student of the consensus${looksAt === undefined ? '' : ` on the student of ${looksAt}`}`;

const whatOfRound = (round: number, { by }: Taught): string =>
  round === 1 ? 'a student of the consensus, and a consensus on its features' : `the same on the labels of ${by}`;
