import type { Accuracy, Gain } from '../artifact/formats.js';
import { duration, parameters } from './format.js';
import { html, small, type Html } from './html.js';
import {
  accuracyText,
  gainText,
  intervalChart,
  linkedName,
  numbersNote,
  reportedName,
  type IntervalRow,
} from './intervals.js';
import { rowsTable } from './table.js';

/** A technique or a round: what it brought, in a chart and in a table. */
export interface ComparedRow extends IntervalRow {
  readonly model: string | undefined;
  readonly parameters: number | undefined;
  readonly seconds: number | undefined;
  readonly expectedSeconds?: number | undefined;
  readonly outcome: string;
  readonly reason?: string | undefined;
}

/** Techniques or rounds beside each other. */
export interface Comparison {
  readonly rows: readonly ComparedRow[];
  /** Heads of the first two columns. */
  readonly name: string;
  readonly model: string;
  /** Added to what is said of the numbers. */
  readonly note?: string | undefined;
}

/** The address of the report of a run below, where there is one. */
export const linkOf = (run: string | undefined, links: ReadonlyMap<string, string>): string | undefined =>
  run === undefined ? undefined : links.get(run);

/** What the plan left out was expected to take no time, which says nothing. */
const planned = (seconds = 0): number | undefined => (seconds > 0 ? seconds : undefined);

/** Accuracies as a chart, and below it what each cost. */
export function comparison({ rows, name, model, note = '' }: Comparison): Html {
  const measured: { selection?: Accuracy | undefined; gain?: Gain | undefined }[] = rows.map((row) => ({
    selection: row.accuracy,
    gain: row.gain,
  }));
  const table = rowsTable<ComparedRow>(
    [
      { title: name, kind: 'value', cell: (row) => (row.best ? html`<b>${linkedName(row)}</b>` : linkedName(row)) },
      {
        title: model,
        kind: 'value',
        cell: (row) =>
          html`${row.model ?? '\u2013'}${small(row.parameters, (count) => `${parameters(count)} parameters`)}`,
      },
      { title: 'Accuracy', kind: 'number', cell: ({ accuracy }) => accuracyText(accuracy) },
      { title: 'Gain', kind: 'number', cell: ({ gain }) => gainText(gain) },
      { title: reportedName(rows) === 'val' ? 'Val' : 'Test', kind: 'number', cell: ({ test }) => accuracyText(test) },
      {
        title: 'Time',
        kind: 'number',
        cell: ({ seconds, expectedSeconds }) =>
          html`${duration(seconds ?? NaN)}${small(planned(expectedSeconds), (time) => `expected ${duration(time)}`)}`,
      },
      {
        title: 'Outcome',
        cell: ({ outcome, reason }) =>
          html`${outcome}${reason === undefined ? undefined : html`<small>${reason}</small>`}`,
      },
    ],
    rows,
  );
  return html`<div class="card">
      ${intervalChart(rows)}
      <p class="note">${numbersNote(measured)}${note}</p>
    </div>
    <div class="card scroll">${table}</div>`;
}
