import { shareAxis, tickLabel } from './axis.js';
import { percent, points, short } from './format.js';
import type { Accuracy, Gain, Reported } from '../artifact/formats.js';
import { wilson } from '../evaluate/metrics.js';
import { html, type Html } from './html.js';
import { numberOf, objectOf, optionalNumberOf } from './json.js';

/** One line of a chart of accuracies. */
export interface IntervalRow {
  readonly name: string;
  /** The address of its report. */
  readonly link?: string | undefined;
  /** Below the name. */
  readonly detail?: string | undefined;
  /** Absent: `instead` is written where it would be. */
  readonly accuracy?: Accuracy | undefined;
  readonly instead?: string | undefined;
  readonly test?: Reported | undefined;
  readonly gain?: Gain | undefined;
  /** It became the one to beat. */
  readonly kept: boolean;
  /** The final choice. */
  readonly best?: boolean | undefined;
}

/** An accuracy of a file, undefined without a number. */
export function accuracyOf(value: unknown): Accuracy | undefined {
  const { top1, interval, count, independent } = objectOf(value);
  return Number.isNaN(numberOf(top1))
    ? undefined
    : {
        top1: numberOf(top1),
        interval: optionalNumberOf(interval),
        count: optionalNumberOf(count),
        independent: optionalNumberOf(independent),
      };
}

/** An accuracy on images that decide nothing, undefined without a number. */
export function reportedOf(value: unknown): Reported | undefined {
  const accuracy = accuracyOf(value);
  return accuracy && { ...accuracy, split: objectOf(value)['split'] === 'val' ? 'val' : 'test' };
}

/** What the images that decide nothing are called. */
export const reportedName = (rows: readonly { readonly test?: Reported | undefined }[]): 'val' | 'test' =>
  rows.find(({ test }) => test)?.test?.split ?? 'test';

export function gainOf(value: unknown): Gain | undefined {
  const { mean, interval } = objectOf(value);
  return Number.isNaN(numberOf(mean)) ? undefined : { mean: numberOf(mean), interval: optionalNumberOf(interval) };
}

/**
 * The 95% interval of an accuracy: of one on so many images, which is far from symmetric where these are few, that of
 * their share (`wilson`); else the half-width that was written, within 0 and 1. Undefined where neither is known.
 */
export function rangeOf({
  top1,
  interval,
  count,
  independent = count,
}: Accuracy): [low: number, high: number] | undefined {
  if (independent !== undefined && independent > 0 && top1 >= 0 && top1 <= 1) return wilson(top1, independent);
  return interval === undefined || !Number.isFinite(interval)
    ? undefined
    : [Math.max(0, top1 - interval), Math.min(1, top1 + interval)];
}

/** An interval of shares: `47.3 to 83.6%`. */
export const rangeText = ([low, high]: readonly [number, number]): string =>
  `${(100 * low).toFixed(1)} to ${percent(high)}`;

/** An accuracy with its 95% interval: `68.2% (47.3 to 83.6%)`. */
export function accuracyText(accuracy: Accuracy | undefined): string {
  if (accuracy === undefined) return '\u2013';
  const range = rangeOf(accuracy);
  return `${percent(accuracy.top1)}${range === undefined ? '' : ` (${rangeText(range)})`}`;
}

/** A mean over a few measurements, such as seeds, whose interval is symmetric: `81.6% ± 0.7`. */
export const meanText = (mean: Accuracy | undefined): string =>
  mean === undefined ? '\u2013' : `${percent(mean.top1)}${plusMinus(mean.interval)}`;

/** What the numbers beside a chart are, and what they were measured on. */
export function numbersNote(
  items: readonly { readonly selection?: Accuracy | undefined; readonly gain?: Gain | undefined }[],
): string {
  if (items.every(({ selection }) => selection === undefined))
    return 'No images were held out, so nothing was compared.';
  const { count, independent } = items.find(({ selection }) => selection?.count !== undefined)?.selection ?? {};
  return (
    `Accuracy on ${count === undefined ? 'the' : `the ${short(count)}`} held-out images that decide what is kept, ` +
    `with its 95% interval.${independent === undefined ? '' : ` Copies and near copies among them count once there.`}` +
    (items.some(({ gain }) => gain) ? ' Small print: percentage points above the best so far.' : '')
  );
}

export const plusMinus = (interval: number | undefined): string =>
  interval === undefined || !Number.isFinite(interval) ? '' : ` \u00b1 ${(100 * interval).toFixed(1)}`;

export const gainText = (gain: Gain | undefined): string =>
  gain === undefined || !Number.isFinite(gain.mean) ? '\u2013' : `${points(gain.mean)}${plusMinus(gain.interval)}`;

/** A name that links the report of its run, where there is one. */
export const linkedName = ({ name, link }: Pick<IntervalRow, 'name' | 'link'>): Html | string =>
  link === undefined ? name : html`<a href="${link}">${name}</a>`;

/**
 * Accuracies from the first tried to the last: a dot with its 95% interval, a diamond for the
 * accuracy on images that decide nothing (alone where nothing was held out), and in each line a dashed rule at the
 * best kept before, which was to be beaten.
 */
export function intervalChart(rows: readonly IntervalRow[]): Html {
  const axis = shareAxis(
    rows.flatMap(({ accuracy, test }) => [
      ...(accuracy ? [accuracy.top1, ...(rangeOf(accuracy) ?? [])] : []),
      ...(test ? [test.top1] : []),
    ]),
  );
  const left = (value: number): string => `${(100 * axis.at(value)).toFixed(2)}%`;
  const intervalOf = (accuracy: Accuracy): Html => {
    const [from, to] = rangeOf(accuracy) ?? [accuracy.top1, accuracy.top1];
    const [low, high] = [axis.at(from), axis.at(to)];
    return html`<i
      class="interval"
      style="left:${(100 * low).toFixed(2)}%;width:${(100 * (high - low)).toFixed(2)}%"
    ></i>`;
  };
  const ticks = axis.ticks.map((tick) => html`<i class="tick" style="left:${left(tick)}"></i>`);
  const reported = reportedName(rows);
  let toBeat: number | undefined;
  const lines = rows.map((row) => {
    const { accuracy, test, kept, best, gain } = row;
    const beat = toBeat;
    if (kept && accuracy !== undefined) toBeat = accuracy.top1;
    const range = accuracy && rangeOf(accuracy);
    const name = html`<div class="name">
      <b>${linkedName(row)}</b>${row.detail === undefined ? '' : html`<small>${row.detail}</small>`}
    </div>`;
    if (accuracy === undefined && test === undefined)
      return html`<div class="rung skipped">
        ${name}
        <p>${row.instead ?? 'not measured'}</p>
      </div>`;
    return html`<div class="rung${best ? ' best' : kept ? ' kept' : ''}">
      ${name}
      <div class="track">
        ${ticks} ${beat === undefined ? '' : html`<i class="beat" style="left:${left(beat)}"></i>`}
        ${accuracy === undefined ? '' : intervalOf(accuracy)}
        ${test && html`<i class="test" style="left:${left(test.top1)}" title="${reported} ${percent(test.top1)}"></i>`}
        ${accuracy && html`<i class="dot" style="left:${left(accuracy.top1)}" title="${accuracyText(accuracy)}"></i>`}
      </div>
      <div class="score">
        <b>${percent((accuracy ?? test!).top1)}</b>
        ${range === undefined ? '' : html`<small>${rangeText(range)}</small>`}
        ${gain === undefined ? '' : html`<small>${gainText(gain)} points</small>`}
      </div>
    </div>`;
  });
  const has = (mark: (row: IntervalRow) => unknown): boolean => rows.some((row) => row.accuracy && mark(row));
  return html`<ul class="marks">
      ${has(({ best }) => best) ? html`<li><i class="dot best"></i>final model</li>` : ''}
      ${has(({ kept, best }) => kept && !best) ? html`<li><i class="dot kept"></i>kept</li>` : ''}
      ${has(({ kept }) => !kept) ? html`<li><i class="dot"></i>not kept</li>` : ''}
      ${
        rows.some(({ test }) => test)
          ? html`<li><i class="test"></i>accuracy on ${reported} (never used to decide)</li>`
          : ''
      }
      ${lines.length > 1 && toBeat !== undefined ? html`<li><i class="beat"></i>best so far</li>` : ''}
    </ul>
    <div class="rungs">
      ${lines}
      <div class="rung axis">
        <div></div>
        <div class="track">
          ${axis.ticks.map((tick) => html`<span style="left:${left(tick)}">${tickLabel(tick)}</span>`)}
        </div>
        <div></div>
      </div>
    </div>`;
}

/** What a label passes on to its neighbours, a student learns. */
export const aboutRounds =
  'What rounds say of held-out labels can be a little too high: their students have seen something of them. ' +
  'Labelled images in test/ measure what is true.';
