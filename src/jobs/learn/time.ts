/**
 * How `learn` divides the time that it is given. The same rules make the plan before anything is trained, and give each
 * technique its time when its turn comes. All times are seconds, but for what a training is told: minutes.
 */
import type { PlannedRung, Rung } from '../../artifact/formats.js';
import type { RungName } from '../../options/jobs.js';
import { ladder } from '../../options/recipes.js';
import type { Part } from '../parts.js';
import { secondsTogether } from '../side-by-side.js';
import type { TimedOptions } from '../stages.js';
import { roundNumber, rungs, startsFromScratch, type RungPlan, type Situation } from './rungs.js';

/** The share of the time left that a technique takes which can use as much as there is. */
export const timedShare = (situation: Situation, { share }: RungPlan): number | undefined =>
  startsFromScratch(situation) ? share : undefined;

/** Whether the number of epochs was given. */
export const isAsked = ({ reads }: RungPlan, { options }: Situation): boolean =>
  (['epochs', 'studentEpochs'] as const).some((name) => reads.includes(name) && options[name] !== undefined);

/** Epochs at most: as many as fit where the time is divided in shares, unless their number was given. */
export const mostEpochs = (row: RungPlan, situation: Situation, usual: number): number =>
  timedShare(situation, row) !== undefined && !isAsked(row, situation) ? ladder.mostEpochs : usual;

/** What a technique takes where no time is given; plans of earlier versions say nothing else. */
export const usualOf = ({ usualSeconds, expectedSeconds }: PlannedRung): number => usualSeconds ?? expectedSeconds;

const leastOf = (plan: PlannedRung): number => plan.leastSeconds ?? usualOf(plan);

const rowOf = ({ name }: PlannedRung): RungPlan => rungs[name as RungName];

/** Of the time that a training has, this share is kept free. */
export const spare = 0.05;

/** The turn of a technique. */
export interface Turn {
  readonly planned: readonly PlannedRung[];
  readonly situation: Situation;
  /** For all that is still to come. */
  readonly left: number;
  /** What work will take of which so much was planned; default: as planned. */
  expected?(seconds: number): number;
  /** What the trainings of a technique take beside their steps, as those before did. */
  readonly beside?: number | undefined;
}

/**
 * What a technique may take when its turn comes: its share, though not what those after it need at least, as far as
 * half of the time goes; where that is too little for the next one, all that is left, as nothing would follow. Others
 * have all that is left beside what is kept for a smaller network.
 */
export function secondsFor(plan: PlannedRung, turn: Turn): number {
  const { planned, situation, left, beside = 0, expected = (seconds) => seconds } = turn;
  if (left === Infinity) return left;
  const share = timedShare(situation, rowOf(plan));
  if (share !== undefined) {
    const after = planned.slice(planned.indexOf(plan) + 1).filter(({ skip }) => skip === undefined);
    const needs = after.map((other) => Math.max(beside, expected(leastOf(other))));
    const kept = needs.reduce((sum, seconds) => sum + seconds, 0);
    if ((needs[0] ?? 0) > left / 2) return left;
    return Math.min(share * left, Math.max(left / 2, left - kept));
  }
  return left - keptFor(plan, turn);
}

/** What a technique that trains layers leaves a smaller network that follows; where time is shared out: nothing. */
export function keptFor(plan: PlannedRung, turn: Turn): number {
  const { planned, situation, left } = turn,
    row = rowOf(plan);
  if (left === Infinity || row.smaller || row.measured === 'by itself') return 0;
  if (timedShare(situation, row) !== undefined || smallerAfter(plan, planned) === undefined) return 0;
  return forSmaller(turn, left);
}

/** What a smaller network takes at least, where one follows. */
export const leastOfSmaller = (planned: readonly PlannedRung[]): number => {
  const after = smallerIn(planned);
  return after === undefined ? 0 : leastOf(after);
};

const smallerIn = (planned: readonly PlannedRung[]): PlannedRung | undefined =>
  planned.find((plan) => rowOf(plan).smaller && plan.skip === undefined);

const smallerAfter = (plan: PlannedRung, planned: readonly PlannedRung[]): PlannedRung | undefined =>
  smallerIn(planned.slice(planned.findIndex(({ name }) => name === plan.name) + 1));

/**
 * Below what a smaller network is not begun that time was kept for: with half of the steps of its shortest form. What
 * takes a little longer than planned does not cost it its turn.
 */
export const shortestOf = (plan: PlannedRung): number => {
  const { besideSeconds = 0 } = plan;
  return besideSeconds + Math.max(0, leastOf(plan) - besideSeconds) / 2;
};

/**
 * What rounds leave a smaller network: what it usually takes, as it is what was asked for, and where there is much time
 * (`all`, when rounds begin) the share of it that helps it more than one round more does, up to half of what is left.
 * Nothing where its least does not fit in all, or it cannot be begun any more.
 */
export function forSmaller({ planned, left, expected = (seconds) => seconds }: Turn, all: number): number {
  const after = smallerIn(planned);
  if (after === undefined) return 0;
  const usual = usualOf(after),
    { mostSeconds = usual } = after;
  const wanted = Math.max(usual, Math.min(mostSeconds, ladder.smallerTimes.share * all));
  if (expected(leastOf(after)) > all || expected(shortestOf(after)) > left) return 0;
  return Math.min(left, Math.max(expected(usual), Math.min(left / 2, expected(wanted))));
}

/** What of a plan was trained by sessions before; of a smaller network each time that it was taught. */
export const trainedBefore = (plan: PlannedRung, tried: readonly Rung[]): Rung[] =>
  tried.filter(({ name, skipped }) => {
    if (skipped === true) return false;
    const row = rowOf(plan);
    if (row.measured === 'by rounds') return roundNumber(name) !== undefined;
    return name === plan.name || (row.smaller === true && name.startsWith(`${plan.name} `));
  });

export const secondsOf = (tried: readonly Rung[]): number => tried.reduce((sum, { seconds = 0 }) => sum + seconds, 0);

/** What a plan still takes after what was tried before. */
export function secondsToCome(plan: PlannedRung, tried: readonly Rung[]): number {
  const before = plan.skip === undefined ? trainedBefore(plan, tried) : [];
  const isOver = before.length > 0 && rowOf(plan).measured !== 'by rounds';
  return isOver ? 0 : Math.max(0, plan.expectedSeconds - secondsOf(before));
}

/**
 * The plan with what each technique is expected to take in the time left: nothing where it does not fit. What was tried
 * before is left as it is.
 */
export function timetable(
  planned: readonly PlannedRung[],
  situation: Situation,
  { left, tried }: { readonly left: number; readonly tried: readonly Rung[] },
): PlannedRung[] {
  let rest = left,
    isFirst = true;
  return planned.map((plan) => {
    if (plan.skip !== undefined) return plan;
    const before = trainedBefore(plan, tried),
      isRounds = rowOf(plan).measured === 'by rounds';
    const most = (rest < Infinity ? plan.mostSeconds : undefined) ?? usualOf(plan);
    let seconds = Math.min(most, secondsFor(plan, { planned, situation, left: Math.max(0, rest) }));
    if (before.length > 0 && !isRounds) seconds = 0;
    // The first technique of a pretrained network is trained in full, and from scratch in some time.
    else if (isFirst) seconds = startsFromScratch(situation) ? seconds : usualOf(plan);
    else if (leastOf(plan) > rest) seconds = 0;
    isFirst = false;
    rest -= seconds;
    const told = { ...plan, usualSeconds: usualOf(plan) };
    if (before.length > 0 && !isRounds) return told;
    return { ...told, expectedSeconds: secondsOf(before) + seconds };
  });
}

/** Minutes that a training is told, and has for its steps in this session where another one began it. */
export const within = (minutes: number | undefined): Pick<TimedOptions, 'minutes' | 'time'> =>
  minutes === undefined ? {} : { minutes, time: { left: () => 60 * minutes, follows: 0 } };

/** When a stage has to end, and what each of its trainings takes beside its steps. */
export interface Ends {
  readonly parts: readonly Part[];
  /** By the clock `elapsed`. */
  readonly at: number;
  readonly elapsed: () => number;
  readonly beside: number;
}

/** Minutes of a part's training; `together`: where all parts are begun now, so many at once. */
export type MinutesFor = (part: Part, together?: number) => number;

/**
 * Minutes for the steps of a stage's training on a part, worked out when its turn comes: of what is left by then, a
 * training that only measures has less. The one on all labels has at least half of what it should have beside them:
 * else a network would be measured that is far better than the one that is kept.
 */
export function minutesUntil({ parts, at, elapsed, beside }: Ends): MinutesFor {
  const weightOf = (part: Part): number => (part === parts.at(-1) ? 1 : ladder.foldShare);
  let each = 0;
  return (part, together) => {
    if (together !== undefined) {
      const left = at - elapsed() - beside * Math.ceil(parts.length / together);
      each = Math.max(1, left) / secondsTogether(parts.map(weightOf), together);
      return (each * weightOf(part)) / 60;
    }
    const coming = parts.slice(parts.indexOf(part));
    const weights = coming.reduce((sum, other) => sum + weightOf(other), 0);
    const left = Math.max(1, at - elapsed() - beside * coming.length, (each / 2) * weights);
    each = left / weights;
    return (each * weightOf(part)) / 60;
  };
}
