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

/**
 * What each technique brought and at what cost, and below why those are not kept that are not. A column in which
 * nothing stands is left out, and so is the number of parameters where all have the same.
 */
export function rungTable(rungs: readonly Rung[]): string {
  const sizes = new Set(rungs.flatMap(({ parameters }) => parameters ?? []));
  const columns: readonly (readonly [heading: string, cell: (rung: Rung) => string])[] = [
    ['technique', ({ name }) => name],
    ['held-out accuracy', ({ selection }) => accuracy(selection)],
    ['gain, points', ({ gain: gained }) => gain(gained)],
    [reportedName(rungs), ({ test }) => (test ? percent(test.top1) : '')],
    ['time', ({ seconds }) => (seconds === undefined ? '' : duration(seconds))],
    ['parameters', ({ parameters }) => (sizes.size > 1 ? (parameters?.toLocaleString('en-US') ?? '') : '')],
    ['outcome', ({ kept, skipped }) => (skipped ? 'skipped' : kept ? 'kept' : 'not kept')],
  ];
  const shown = columns.filter(([, cell]) => rungs.some((rung) => cell(rung) !== ''));
  const remarks = rungs.flatMap(({ name, gain: gained, kept, skipped, reason }) => {
    const more = skipped ? `skipped: ${reason ?? ''}` : kept ? keptAs(gained) : notKept(reason);
    return more === 'kept' || more === 'not kept' ? [] : [`${name}: ${more}\n`];
  });
  const rows = rungs.map((rung) => shown.map(([, cell]) => cell(rung)));
  return table([shown.map(([heading]) => heading), ...rows]) + (remarks.length > 0 ? `\n${remarks.join('')}` : '');
}

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
