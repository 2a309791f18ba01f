import { html, trusted, type Html } from './html.js';

/** A column of a table: its heading, and what it shows of a row. */
export interface Column<Row> {
  readonly title: string;
  /** `number` stands to the right, `value` is a name or a value as it is typed. Default: prose. */
  readonly kind?: 'number' | 'value' | undefined;
  readonly cell: (row: Row, index: number) => Html | string | number | undefined;
}

/** A table with a line for each row; `isNote`: rows that only help to read the others. */
export function rowsTable<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  isNote: (row: Row) => boolean = () => false,
): Html {
  const classed = (...names: readonly (string | false | undefined)[]): Html => {
    const list = names.filter(Boolean).join(' ');
    return trusted(list === '' ? '' : ` class="${list}"`);
  };
  return html`<table class="rows">
    <thead>
      <tr>
        ${columns.map(({ title, kind }) => html`<th${classed(kind === 'number' && kind)}>${title}</th>`)}
      </tr>
    </thead>
    <tbody>
      ${rows.map((row, index) => {
        const note = isNote(row) && 'note';
        return html`<tr>
          ${columns.map(({ kind, cell }) => html`<td${classed(kind, note)}>${cell(row, index)}</td>`)}
        </tr>`;
      })}
    </tbody>
  </table>`;
}
