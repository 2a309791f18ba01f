/** What a ladder will try and how long that should take, from a few measured steps. */
import type { LadderPlan, PlannedRung, Rung } from '../../artifact/formats.js';
import type { Run } from '../../artifact/run.js';
import { runFiles } from '../../artifact/run-files.js';
import type { Dataset } from '../../data/sample.js';
import { isFair } from '../../data/split.js';
import { list } from '../../data/words.js';
import { countFlops } from '../../models/flops.js';
import type { Model } from '../../models/model.js';
import { countParameters, isSmallerThan } from '../../models/size.js';
import type { RungName } from '../../options/jobs.js';
import { ladder } from '../../options/recipes.js';
import { parameters } from '../../report/format.js';
import { secondsAnImage } from '../../runs/estimate.js';
import type { Backbone } from '../../runs/consult.js';
import type { RunEvent } from '../../runs/events.js';
import {
  closedForm,
  imageOfConsensus,
  secondsOfConsensus,
  secondsOfEpoch,
  secondsOfProbe,
  type Measured as Pace,
} from '../../runs/expected.js';
import { resolveSettings, useful, type TrainOptions } from '../../runs/resolve.js';
import { canChoose, type Part } from '../parts.js';
import { secondsTogether, type AtOnce } from '../side-by-side.js';
import { epochsOf, isReported, roundsOf, whyEpochs } from './rounds.js';
import {
  knowsLess,
  leftOutWithout,
  rungs,
  startsFromScratch,
  trainingOf,
  triedRungs,
  type RungPlan,
  type Situation,
} from './rungs.js';
import { mostEpochs, secondsOf, secondsToCome, timedShare, timetable, trainedBefore, usualOf } from './time.js';

/** What takes how long, and for what. */
export interface Measured extends Pace {
  readonly classes: number;
  /** Images that accuracies are reported on. */
  readonly reported: number;
}

/** What is planned for, and in how many seconds. */
export interface PlanInput {
  readonly situation: Situation;
  readonly parts: readonly Part[];
  readonly model: Model;
  /** That learns last, where one does. */
  readonly smaller?: Model | undefined;
  /** Further networks that each consensus looks at. */
  readonly backbones: readonly Backbone[];
  readonly shared: TrainOptions;
  /** How many train together. */
  readonly ranks: number;
  /** How many trainings on parts run at once. */
  readonly atOnce: AtOnce;
  readonly budget: number;
  /** Seconds that this session has taken. */
  elapsed(): number;
}

/** A plan, and how long there is for it. */
export interface TimedPlan extends LadderPlan {
  /** Seconds for what is still to come. */
  readonly left: number;
  /** What sessions before have tried. */
  readonly tried: readonly Rung[];
}

/**
 * What will run; kept in the run, so that a resumed one has the same plan, though another time for it. Rungs that
 * `rungs` names, or those that suit the images.
 */
export async function* planLadder(
  run: Run,
  { situation: given, parts, model, smaller, backbones, shared, ranks, atOnce, budget, elapsed }: PlanInput,
): AsyncGenerator<RunEvent, TimedPlan, undefined> {
  const tried = (await runFiles.ladder.read(run.path)) ?? { rungs: [] };
  const before = await runFiles.plan.read(run.path);
  const timed = async (plan: LadderPlan, situation: Situation): Promise<TimedPlan> => {
    const left = budget - (plan.closingSeconds ?? 0) - elapsed() - (tried.seconds ?? 0);
    const told = { ...plan, rungs: timetable(plan.rungs, situation, { left, tried: tried.rungs }) };
    await runFiles.plan.write(run.path, told);
    return { ...told, left, tried: tried.rungs };
  };
  if (before) return timed(before, { ...given, unlabelled: before.unlabelled ?? given.unlabelled });
  yield { type: 'phase', name: 'measuring a step' };
  // From scratch all that is trained is trained on every part.
  const isOnParts = given.mode === 'scratch',
    threads = isOnParts ? { threads: atOnce.threads ?? shared.threads } : {},
    divided = { parts: parts.length, together: isOnParts ? atOnce.trainings : 1 };
  const settings = resolveSettings(undefined, useful({ ...shared, mode: given.mode, ...threads }));
  const whole = parts.at(-1)!,
    classes = whole.data.classes.length,
    reported = whole.data.samples.filter(({ split }) => isReported(split, whole)).length;
  const pace = await secondsAnImage(model, settings, classes, ranks),
    measured = { ...pace, further: furtherPace(pace, model, backbones), classes, reported };
  const its = smaller && (await secondsAnImage(smaller, settings, classes, ranks));
  const paces = { own: measured, smaller: { ...measured, ...its } };
  const names = triedRungs(given);
  const probing = names.includes('probe') ? secondsOfProbe(given, measured) : 0;
  const unlabelled = names.includes('rounds')
    ? Math.min(given.unlabelled, unlabelledWithin(budget - elapsed() - probing, given.labelled, measured))
    : given.unlabelled;
  const situation = { ...given, unlabelled };
  const first = names.find((name) => rungs[name].without?.(situation) === undefined);
  const planned = names.map((name): PlannedRung => {
    const row = rungs[name],
      // From scratch, too, what follows the first rung is known to help.
      skip = row.without?.(situation) ?? uncompared(row, name === first || startsFromScratch(situation), parts);
    return skip === undefined
      ? { name, ...expected(row, situation, divided, row.smaller ? paces.smaller : paces.own, shared) }
      : { name, expectedSeconds: 0, skip };
  });
  const hasRounds = planned.some(({ name, skip }) => name === 'rounds' && skip === undefined);
  const studentEpochs = hasRounds ? whyEpochs(situation) : undefined;
  return timed(
    {
      rungs: planned,
      unlabelled: unlabelled < given.unlabelled ? unlabelled : undefined,
      // The model that is kept looks at the labelled images once more, to learn which are of no class.
      closingSeconds: Math.min(secondsOfProbe(given, measured), ladder.closingShare * budget),
      reasons: studentEpochs === undefined ? undefined : { studentEpochs },
    },
    situation,
  );
}

/**
 * How many unlabelled images can take part: so many that a consensus, a student that is shown the least share
 * of them, and a consensus on its features need `ladder.roundWithin` of the time left.
 */
export function unlabelledWithin(left: number, labelled: number, measured: Measured): number {
  const { image, look, start, classes, reported } = measured;
  const perImage = 2 * imageOfConsensus(classes, measured) + (image + look) * ladder.leastShown,
    fixed = 3 * start + 2 * closedForm.start + look * reported;
  const images = Math.floor((ladder.roundWithin * left - fixed) / perImage);
  return Math.max(ladder.leastUnlabelled, images - labelled);
}

/** What further networks take for an image, by their operations beside those of the network that was measured. */
const furtherPace = ({ look }: Pace, { graph }: Model, backbones: readonly Backbone[]): Pace['further'] =>
  backbones.length === 0
    ? undefined
    : {
        networks: backbones.length,
        look: backbones.reduce((sum, other) => sum + (look * countFlops(other.model.graph)) / countFlops(graph), 0),
      };

/**
 * Where no label can be held out, consensus and rounds are known to help and their labels show it where
 * they went astray; what else could follow is not tried.
 */
const uncompared = ({ measured }: RungPlan, isFirst: boolean, parts: readonly Part[]): string | undefined =>
  canChoose(parts) || measured !== undefined || isFirst ? undefined : 'no labels are held out to compare it on';

/** Seconds of a rung without a limit, in its shortest form, and as long as it can use more. */
function expected(
  row: RungPlan,
  situation: Situation,
  { parts, together }: { readonly parts: number; readonly together: number },
  measured: Measured,
  shared: TrainOptions,
): Pick<PlannedRung, 'expectedSeconds' | 'leastSeconds' | 'besideSeconds' | 'mostSeconds'> {
  const { image, look, start, classes, reported } = measured;
  const images = situation.labelled + situation.unlabelled;
  const consensus = secondsOfConsensus(situation, classes, measured);
  // A network from scratch is trained on every part for itself.
  const times = situation.mode === 'scratch' ? parts : 1,
    turns = Math.ceil(times / together);
  if (teachesOnce(row, situation)) {
    const pass = (image + look) * images,
      fixed = 2 * consensus + start,
      { usual, most } = ladder.smallerTimes;
    return {
      expectedSeconds: fixed + usual * epochsOf(situation) * pass,
      leastSeconds: fixed + pass,
      mostSeconds: fixed + most * epochsOf(situation) * pass,
      besideSeconds: fixed,
    };
  }
  if (row.measured === 'by rounds') {
    const pass = (count: number): number => (image + look) * count;
    const { batchSize, unlabelledRatio } = ladder.ownStudent.training;
    // From scratch a batch is filled up where images are few.
    const shown = situation.mode === 'scratch' ? Math.max(images, batchSize * (1 + unlabelledRatio)) : images;
    const most = situation.mode === 'scratch' ? ladder.leastTrainedImages : ladder.leastStudentImages;
    const shares = [1, ...Array<number>(times - 1).fill(ladder.foldShare)];
    const epochs = epochsOf(situation) * secondsTogether(shares, together);
    // From scratch, the first round has its consensus already; else the student's sees what is reported on anew.
    const beside = turns * start + (situation.mode === 'scratch' ? 0 : consensus + look * reported);
    const one = beside + epochs * pass(shown);
    return {
      expectedSeconds: roundsOf(situation) * one,
      leastSeconds: beside + turns * pass(Math.min(ladder.leastShown * images, most)),
      besideSeconds: beside,
      // From scratch a later round begins with a consensus of its own.
      mostSeconds: ladder.mostRounds * one + (situation.mode === 'scratch' ? (ladder.mostRounds - 1) * consensus : 0),
    };
  }
  const training = trainingOf(row, situation, shared);
  if (training.mode === 'consensus') return { expectedSeconds: times * consensus, leastSeconds: times * consensus };
  if (training.mode === 'probe') {
    const seconds = secondsOfProbe(situation, measured);
    return { expectedSeconds: seconds, leastSeconds: seconds };
  }
  const settings = resolveSettings(undefined, useful(training));
  const epoch = secondsOfEpoch(settings, situation, measured);
  const labelling = row.teacher === 'labels' || row.teacher === 'soft labels' ? look * situation.unlabelled : 0;
  // Where the time is divided in shares a training ends by the clock, also within an epoch.
  const shortest =
    timedShare(situation, row) === undefined ? epoch : Math.min(epoch, image * ladder.leastTrainedImages);
  const least = start + labelling + shortest;
  const inEpochs = (epochs: number): number => {
    const each = [epochs, ...Array<number>(parts - 1).fill(foldEpochs(epochs))];
    return (
      parts * labelling +
      secondsTogether(
        each.map((count) => start + count * epoch),
        together,
      )
    );
  };
  return {
    expectedSeconds: inEpochs(settings.epochs),
    leastSeconds: Math.ceil(parts / together) * least,
    besideSeconds: Math.ceil(parts / together) * start,
    mostSeconds: inEpochs(mostEpochs(row, situation, settings.epochs)),
  };
}

/** Whether a technique is trained once for each part of the labels. */
const isInParts = (row: RungPlan, situation: Situation): boolean =>
  row.measured === undefined && !teachesOnce(row, situation);

/** A student of a consensus on a pretrained network is told no label itself: it has no folds. */
export const teachesOnce = ({ teacher }: RungPlan, situation: Situation): boolean =>
  teacher === 'distils' && situation.mode !== 'scratch' && triedRungs(situation).includes('consensus');

/** Epochs of a training that leaves a fold out, of those on all labels. */
export const foldEpochs = (epochs: number): number => Math.max(1, Math.ceil(epochs * ladder.foldShare));

/** Labels of each class to learn from. */
const labelsOfClasses = ({ classes, samples }: Dataset): number[] =>
  classes.map((_, c) => samples.filter(({ split, label }) => split === 'train' && label === c).length);

/** A line of the plan where a student is no smaller than what teaches it. */
export function noteOnStudent(
  { options, model: name }: Situation,
  { model, smaller: student }: Pick<PlanInput, 'model' | 'smaller'>,
): string[] {
  if (student === undefined || isSmallerThan(student, model)) return [];
  const count = (network: Model): string => `${parameters(countParameters(network))} parameters`;
  return [
    `note       the student ${options.student} (${count(student)}) is no smaller than ${name} (${count(model)}): ` +
      'it is kept only where it is better on held-out images beyond the interval',
  ];
}

/** A line of the plan where further networks take part. */
export const noteOnTeachers = (backbones: readonly Backbone[]): string[] =>
  backbones.length === 0
    ? []
    : [
        `teachers   ${list(backbones.map(({ name }) => name))}: of these only features count, which each consensus ` +
          'looks at, whatever classes they know',
      ];

/** The plan in lines. `budget`: seconds, of all sessions. `folds`: as asked for. */
export function describePlan(
  situation: Situation,
  parts: readonly Part[],
  { rungs: planned, unlabelled: used, reasons, left, tried }: TimedPlan,
  budget: number,
): string[] {
  const { labelled, unlabelled, model, mode } = situation;
  const { path, classes } = parts.at(-1)!.data;
  const hasRounds = planned.some((plan) => plan.name === 'rounds' && secondsToCome(plan, tried) > 0);
  const lines = [
    `data       ${path}: ${labelled} labelled images of ${classes.length} classes, ${unlabelled} without labels` +
      (used === undefined ? '' : `, of which ${used} take part: more would not fit in ${timeText(budget)}`),
    `model      ${model}, ${mode}`,
    `validation ${heldOut(situation, parts, planned)}`,
    ...planned.map(
      (plan, i) => `${i === 0 ? 'techniques ' : '           '}${plan.name}: ${timeOf(plan, { tried, left, budget })}`,
    ),
    ...(reasons?.['studentEpochs'] === undefined || !hasRounds ? [] : [`epochs     ${reasons['studentEpochs']}`]),
    `time       ${totalTime(planned, { tried, left, budget })}`,
  ];
  const first = planned.find(({ skip }) => skip === undefined);
  const without = leftOutWithout(situation);
  if (without !== undefined) lines.push(`note       ${without}`);
  if (first && tried.length === 0 && usualOf(first) > left && !startsFromScratch(situation))
    lines.push(`note       even ${first.name} alone takes longer than is left; it is trained in full`);
  return lines;
}

/** What techniques are measured on. */
function heldOut(situation: Situation, parts: readonly Part[], planned: readonly PlannedRung[]): string {
  const { reportOn, folds } = situation.options;
  if (!canChoose(parts)) {
    const isAlone = labelsOfClasses(parts.at(-1)!.data).every((count) => count < 2);
    const how = [
      ...(folds === 0 ? ['leave out `folds: 0`'] : []),
      ...(folds !== 0 || isAlone ? [`give two of each class${reportOn === 'val' ? '' : ' or a val/ folder'}`] : []),
    ].join(' and ');
    return `none: no labels are held out; ${how}`;
  }
  if (parts.length === 1) return 'the same held-out images for every technique';
  const inParts = planned.filter(
    ({ name, skip }) => skip === undefined && isInParts(rungs[name as RungName], situation),
  );
  if (inParts.every(({ name }) => knowsLess(name as RungName, situation))) {
    const { data } = parts.at(-1)!;
    const alone = labelsOfClasses(data).filter((count) => count === 1).length;
    const byHand = data.samples.some((sample) => !isFair(sample) && sample.label >= 0);
    const folds = inParts.map(({ name }) => `; ${name} in ${parts.length - 1} folds`).join('');
    return (
      `every label ${byHand ? 'that a person gave ' : ''}${alone > 0 ? 'of a class that has several ' : ''}` +
      `is held out once, in closed form${folds}`
    );
  }
  return parts.length === 2
    ? `${parts[0]!.name} of the labels is held out: each technique is trained without it in a third of the ` +
        'epochs, then on all labels'
    : `${parts.length - 1}-fold cross-validation over the labels, then all labels: what trains layers does so ` +
        `${parts.length} times`;
}

const timeText = (seconds: number): string =>
  seconds < 90 ? `${Math.round(seconds)} s` : `${Number((seconds / 60).toFixed(seconds < 600 ? 1 : 0))} min`;

type Times = Pick<TimedPlan, 'tried' | 'left'> & { readonly budget: number };

/** What a technique takes, with its share of the time where one is given. */
function timeOf(plan: PlannedRung, { tried, left, budget }: Times): string {
  if (plan.skip !== undefined) return `skipped, ${plan.skip}`;
  const before = trainedBefore(plan, tried),
    isRounds = rungs[plan.name as RungName].measured === 'by rounds';
  if (before.length > 0 && !isRounds) {
    const again = rungs[plan.name as RungName].smaller ? ', again if another teacher is kept and time is left' : '';
    return `done in ${timeText(secondsOf(before))}${again}`;
  }
  const seconds = secondsToCome(plan, tried),
    least = plan.leastSeconds ?? usualOf(plan);
  const done = before.length > 0 ? `${before.length} done, ` : '';
  if (seconds <= 0) return `${done}skipped unless enough time is left: takes at least ${timeText(least)}`;
  const isShared = budget < Infinity && seconds <= left && tried.length === 0;
  const share = isShared ? ` (${Math.round((100 * seconds) / left)}% of the time)` : '';
  // How many rounds change labels is seen when they are there.
  const about =
    isRounds && budget < Infinity ? `${done}up to ${timeText(seconds)}` : `${done}about ${timeText(seconds)}`;
  return `${about}${share}`;
}

/** The share of the time that was used before anything is tried, from which on the plan names it. */
const noticed = 0.05;

function totalTime(planned: readonly PlannedRung[], { tried, left, budget }: Times): string {
  const toCome = planned.reduce((sum, plan) => sum + secondsToCome(plan, tried), 0);
  if (budget === Infinity) return `about ${timeText(toCome)}`;
  // Shares are of what is left, also where opening the images and measuring a step took a part of the time.
  const isBegun = tried.length > 0 || left < (1 - noticed) * budget;
  const given = isBegun
    ? `, ${timeText(Math.max(0, left))} are left of ${timeText(budget)}`
    : ` of ${timeText(budget)}`;
  const shrinks = planned.some((plan) => plan.skip === undefined && plan.expectedSeconds < usualOf(plan));
  return (
    `about ${timeText(toCome)}${given}` +
    (shrinks ? ': epochs and rounds are made to fit, and what does not fit is left out' : '')
  );
}
