import type { LearnEvent } from '../jobs/learn/learn.js';
import type { SelfTrainEvent } from '../jobs/self-train.js';
import type { Accuracy, Reported, Rung, SeedsFile, StudentRound } from '../artifact/formats.js';
import { accuracyText, meanText, reportedName } from '../report/intervals.js';
import type { Progress } from './progress.js';
import { duration } from '../report/format.js';
import { percent, plusMinus, table } from './table.js';
import { createView } from './training-progress.js';

/**
 * A function that shows the events of a chain of trainings: those of each as usual but for its
 * epochs, and a line for each that ended.
 */
export function createChainView(progress: Progress): (event: SelfTrainEvent | LearnEvent) => void {
  const view = createView(progress);
  return (event) => {
    if (event.type === 'round') progress.note(describeRound(event.round));
    else if (event.type === 'rung') progress.note(describeRung(event.rung));
    else if (event.type !== 'epoch' && event.type !== 'evaluation') view(event);
  };
}

/** A cell is empty where nothing was measured. */
const accuracy = (measured: Accuracy | undefined): string => (measured === undefined ? '' : accuracyText(measured));
const mean = (measured: Accuracy | undefined): string => (measured === undefined ? '' : meanText(measured));
const gain = (measured: { readonly mean: number; readonly interval?: number } | undefined): string =>
  measured === undefined
    ? ''
    : `${measured.mean >= 0 ? '+' : ''}${(100 * measured.mean).toFixed(1)}${plusMinus(measured.interval)}`;

const heldOut = (selection: Accuracy | undefined): string =>
  selection
    ? `${accuracy(selection)} on ${selection.count ?? 0} held-out images${countedAs(selection)}`
    : 'not measured (no held-out images)';

/** As how many images copies and near copies count. */
const countedAs = ({ independent }: Accuracy): string =>
  independent === undefined ? '' : ` that count as ${Math.round(independent)} (copies)`;

/** `, val 93.1%`, by the name of the images. */
const reported = (test: Reported | undefined): string =>
  test === undefined ? '' : `, ${reportedName([{ test }])} ${percent(test.top1)}`;

function describeRound({ round, student, selection, gain: gained, test, seconds }: StudentRound): string {
  return (
    `${round === 0 ? 'teacher' : `round ${round}`}, ${student}: ${heldOut(selection)}` +
    `${gained ? ` (${gain(gained)} points)` : ''}${reported(test)}, ${duration(seconds)}`
  );
}

function describeRung({ name, selection, gain: gained, kept, skipped, reason, test, seconds = 0 }: Rung): string {
  if (skipped) return `${name}: skipped, ${reason ?? ''}`;
  const outcome = kept ? `${gained ? ` (${gain(gained)} points)` : ''}, ${keptAs(gained)}` : `, ${notKept(reason)}`;
  return `${name}: ${heldOut(selection)}${outcome}${reported(test)}, ${duration(seconds)}`;
}

const keptAs = (gained: Rung['gain']): string =>
  gained && gained.mean < 0 ? 'kept, worse within the interval' : 'kept';
const notKept = (reason: string | undefined): string => (reason === undefined ? 'not kept' : `not kept (${reason})`);

/** What each technique brought and at what cost. */
export const rungTable = (rungs: readonly Rung[]): string =>
  table([
    ['technique', 'held-out accuracy', 'gain, points', reportedName(rungs), 'time', 'parameters', 'outcome'],
    ...rungs.map(({ name, selection, gain: gained, test, seconds, parameters, kept, skipped, reason }) => [
      name,
      accuracy(selection),
      gain(gained),
      test ? percent(test.top1) : '',
      seconds === undefined ? '' : duration(seconds),
      parameters === undefined ? '' : parameters.toLocaleString('en-US'),
      skipped ? `skipped: ${reason ?? ''}` : kept ? keptAs(gained) : notKept(reason),
    ]),
  ]);

/** What each technique brought over several seeds: means, with their 95% intervals. */
export const seedsTable = ({ seeds, techniques }: SeedsFile): string =>
  table([
    ['technique', 'held-out accuracy', 'reported', 'time', 'kept'],
    ...techniques.map(({ name, selection, test, seconds, kept }) => [
      name,
      mean(selection),
      mean(test),
      duration(seconds),
      `${kept} of ${seeds.length}`,
    ]),
  ]);

/** What each round brought. */
export const roundTable = (rounds: readonly StudentRound[], kept: number): string =>
  table([
    ['round', 'student', 'held-out accuracy', 'gain, points', reportedName(rounds), 'time', 'outcome'],
    ...rounds.map(({ round, student, selection, gain: gained, test, seconds }) => [
      String(round),
      student,
      accuracy(selection),
      gain(gained),
      test ? percent(test.top1) : '',
      duration(seconds),
      round === kept ? 'final model' : '',
    ]),
  ]);
