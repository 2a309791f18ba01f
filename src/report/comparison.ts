import type { Accuracy, Gain } from '../artifact/formats.js';
import { duration, parameters } from './format.js';
import { html, small, type Html } from './html.js';
import { accuracyText, gainText, intervalChart, numbersNote, type IntervalRow } from './intervals.js';
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

/** A name that links the report of its run, where there is one. */
export function linked(name: string, run: string | undefined, links: ReadonlyMap<string, string>): Html | string {
  const target = run === undefined ? undefined : links.get(run);
  return target === undefined ? name : html`<a href="${target}">${name}</a>`;
}

/**
 * Accuracies as a chart, and below it what each cost. `name` and `model` head the first columns;
 * `note` is added to what is said of the numbers.
 */
export function comparison(
  rows: readonly ComparedRow[],
  { name, model, note = '' }: { readonly name: string; readonly model: string; readonly note?: string | undefined },
): Html {
  const measured: { selection?: Accuracy | undefined; gain?: Gain | undefined }[] = rows.map((row) => ({
    selection: row.accuracy,
    gain: row.gain,
  }));
  const table = rowsTable<ComparedRow>(
    [
      { title: name, kind: 'value', cell: (row) => (row.best ? html`<b>${row.name}</b>` : row.name) },
      {
        title: model,
        kind: 'value',
        cell: (row) =>
          html`${row.model ?? '\u2013'}${small(row.parameters, (count) => `${parameters(count)} parameters`)}`,
      },
      { title: 'Accuracy', kind: 'number', cell: ({ accuracy }) => accuracyText(accuracy) },
      { title: 'Gain', kind: 'number', cell: ({ gain }) => gainText(gain) },
      { title: 'Test', kind: 'number', cell: ({ test }) => accuracyText(test) },
      {
        title: 'Time',
        kind: 'number',
        cell: ({ seconds, expectedSeconds }) =>
          html`${duration(seconds ?? NaN)}${small(expectedSeconds, (expected) => `expected ${duration(expected)}`)}`,
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
