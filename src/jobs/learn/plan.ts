/** What a ladder will try and how long that should take, from a few measured steps. */
import type { LadderPlan, PlannedRung } from '../../artifact/formats.js';
import type { Run } from '../../artifact/run.js';
import { runFiles } from '../../artifact/run-files.js';
import type { Dataset } from '../../data/sample.js';
import type { Model } from '../../models/model.js';
import type { RungName } from '../../options/jobs.js';
import { ladder } from '../../options/recipes.js';
import { secondsAnImage } from '../../runs/estimate.js';
import type { RunEvent } from '../../runs/events.js';
import {
  closedForm,
  secondsOfConsensus,
  secondsOfEpoch,
  secondsOfProbe,
  type Measured as Pace,
} from '../../runs/expected.js';
import { resolveSettings, useful, type TrainOptions } from '../../runs/resolve.js';
import { canChoose, type Part } from '../parts.js';
import { epochsOf, isReported, roundsOf } from './rounds.js';
import { rungs, startsFromScratch, trainingOf, triedRungs, type RungPlan, type Situation } from './rungs.js';

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
  readonly shared: TrainOptions;
  /** How many train together. */
  readonly ranks: number;
  readonly budget: number;
  /** Seconds that this session has taken. */
  elapsed(): number;
}

/**
 * What will run; kept in the run, so that a resumed one has the same plan. Rungs that `rungs` names,
 * or those that suit the images.
 */
export async function* planLadder(
  run: Run,
  { situation: given, parts, model, smaller, shared, ranks, budget, elapsed }: PlanInput,
): AsyncGenerator<RunEvent, LadderPlan, undefined> {
  const before = await runFiles.plan.read(run.path);
  if (before) return before;
  yield { type: 'phase', name: 'measuring a step' };
  const settings = resolveSettings(undefined, useful({ ...shared, mode: given.mode }));
  const whole = parts.at(-1)!,
    classes = whole.data.classes.length,
    reported = whole.data.samples.filter(({ split }) => isReported(split, whole)).length;
  const measured = { ...(await secondsAnImage(model, settings, classes, ranks)), classes, reported };
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
      ? { name, ...expected(row, situation, parts.length, row.smaller ? paces.smaller : paces.own, shared) }
      : { name, expectedSeconds: 0, skip };
  });
  const plan = { rungs: planned, unlabelled: unlabelled < given.unlabelled ? unlabelled : undefined };
  await runFiles.plan.write(run.path, plan);
  return plan;
}

/**
 * How many unlabelled images can take part: so many that a consensus, a student that is shown the least share
 * of them, and a consensus on its features need `ladder.roundWithin` of the time left.
 */
export function unlabelledWithin(
  left: number,
  labelled: number,
  { image, look, start, classes, reported }: Measured,
): number {
  const perImage = 2 * (look + closedForm.image(classes)) + (image + look) * ladder.leastShown,
    fixed = 3 * start + 2 * closedForm.start + look * reported;
  const images = Math.floor((ladder.roundWithin * left - fixed) / perImage);
  return Math.max(ladder.leastUnlabelled, images - labelled);
}

/**
 * Where no label can be held out, consensus and rounds are known to help and their labels show it where
 * they went astray; what else could follow is not tried.
 */
const uncompared = ({ measured }: RungPlan, isFirst: boolean, parts: readonly Part[]): string | undefined =>
  canChoose(parts) || measured !== undefined || isFirst ? undefined : 'no labels are held out to compare it on';

/** Seconds of a rung, and those that it takes at least. */
function expected(
  row: RungPlan,
  situation: Situation,
  parts: number,
  measured: Measured,
  shared: TrainOptions,
): Pick<PlannedRung, 'expectedSeconds' | 'leastSeconds' | 'besideSeconds' | 'mostSeconds'> {
  const { image, look, start, classes, reported } = measured;
  const images = situation.labelled + situation.unlabelled;
  const consensus = secondsOfConsensus(situation, classes, measured);
  // A network from scratch is trained on every part for itself.
  const times = situation.mode === 'scratch' ? parts : 1;
  if (teachesOnce(row, situation)) {
    const pass = (image + look) * images,
      fixed = 2 * consensus + start,
      { usual, most } = ladder.smallerTimes;
    return {
      expectedSeconds: fixed + usual * epochsOf(situation) * pass,
      leastSeconds: fixed + pass,
      mostSeconds: fixed + most * epochsOf(situation) * pass,
    };
  }
  if (row.measured === 'by rounds') {
    const pass = (count: number): number => (image + look) * count;
    const epochs = epochsOf(situation) * (1 + (times - 1) * ladder.foldShare);
    // From scratch, the first round has its consensus already; else the student's sees what is reported on anew.
    const beside = times * start + (situation.mode === 'scratch' ? 0 : consensus + look * reported);
    return {
      expectedSeconds: roundsOf(situation) * (beside + epochs * pass(images)),
      leastSeconds: beside + times * pass(Math.min(ladder.leastShown * images, ladder.leastStudentImages)),
      besideSeconds: beside,
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
  const least = start + labelling + epoch;
  const folded = (parts - 1) * (foldEpochs(settings.epochs) - 1);
  return {
    expectedSeconds: parts * least + (settings.epochs - 1 + folded) * epoch,
    leastSeconds: parts * least,
  };
}

/** A student of a consensus on a pretrained network is told no label itself: it has no folds. */
export const teachesOnce = ({ teacher }: RungPlan, situation: Situation): boolean =>
  teacher === 'distils' && situation.mode !== 'scratch' && triedRungs(situation).includes('consensus');

/** Epochs of a training that leaves a fold out, of those on all labels. */
export const foldEpochs = (epochs: number): number => Math.max(1, Math.ceil(epochs * ladder.foldShare));

/** Labels of each class to learn from. */
const labelsOfClasses = ({ classes, samples }: Dataset): number[] =>
  classes.map((_, c) => samples.filter(({ split, label }) => split === 'train' && label === c).length);

/** The plan in lines. `budget`: seconds. */
export function describePlan(
  situation: Situation,
  parts: readonly Part[],
  { rungs: planned, unlabelled: used }: LadderPlan,
  budget: number,
): string[] {
  const { labelled, unlabelled, model, mode } = situation;
  const { path, classes } = parts.at(-1)!.data;
  const alone = labelsOfClasses(parts.at(-1)!.data).filter((count) => count === 1).length;
  const byHand = parts.at(-1)!.data.samples.some(({ accepted, label }) => accepted === true && label >= 0);
  const total = planned.reduce((sum, { expectedSeconds }) => sum + expectedSeconds, 0);
  const time = (seconds: number): string =>
    seconds < 90 ? `${Math.round(seconds)} s` : `${Number((seconds / 60).toFixed(seconds < 600 ? 1 : 0))} min`;
  const inParts = planned.some(
    ({ name, skip }) =>
      skip === undefined &&
      rungs[name as RungName].measured === undefined &&
      !teachesOnce(rungs[name as RungName], situation),
  );
  const validation = !canChoose(parts)
    ? 'none: no labels are held out; give two of each class or a val/ folder'
    : parts.length === 1
      ? 'the same held-out images for every technique'
      : inParts
        ? parts.length === 2
          ? `${parts[0]!.name} of the labels is held out: each technique is trained without it in a third of the ` +
            'epochs, then on all labels'
          : `${parts.length - 1}-fold cross-validation over the labels, then all labels: what trains layers does so ` +
            `${parts.length} times`
        : `every label ${byHand ? 'that a person gave ' : ''}${alone > 0 ? 'of a class that has several ' : ''}` +
          'is held out once, in closed form';
  const lines = [
    `data       ${path}: ${labelled} labelled images of ${classes.length} classes, ${unlabelled} without labels` +
      (used === undefined ? '' : `, of which ${used} take part: more would not fit in ${time(budget)}`),
    `model      ${model}, ${mode}`,
    `validation ${validation}`,
    ...planned.map(
      ({ name, expectedSeconds, skip }, i) =>
        `${i === 0 ? 'techniques ' : '           '}${name}: ` +
        (skip === undefined ? `about ${time(expectedSeconds)}` : `skipped, ${skip}`),
    ),
    `time       about ${time(total)}` +
      (budget === Infinity
        ? ''
        : total > budget
          ? `, and ${time(budget)} are given: epochs and rounds shrink to fit, and what does not fit is left out`
          : ` of ${time(budget)}`),
  ];
  const first = planned.find(({ skip }) => skip === undefined);
  if (first && first.expectedSeconds > budget && !startsFromScratch(situation))
    lines.push(`note       even ${first.name} alone takes longer; it is trained in full`);
  return lines;
}
