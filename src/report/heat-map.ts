/**
 * Pictures of a search, as SVG that needs no style sheet: text outside of cells takes the colour of
 * the page around it.
 */
import { shareAxis, tickLabel } from './axis.js';
import { percent, points } from './format.js';
import { escapeHtml } from './html.js';
import { fontFamily } from './raster.js';

/** One cell's accuracy with what is written below it. Shares in [0, 1]. */
export interface HeatCell {
  readonly mean: number;
  /** Half-width of the 95% interval of the mean; absent where there is none. */
  readonly interval?: number;
  /** Accuracy above the baseline's after the same epochs: the colour. Neutral without. */
  readonly gain?: number;
  /** Says how far the cell was trained, when it was not trained in full. */
  readonly unfinished?: string;
  readonly best?: boolean;
}

export interface HeatMapOptions {
  readonly title: string;
  readonly xLabel: string;
  readonly yLabel: string;
  readonly columns: readonly string[];
  readonly rows: readonly string[];
  /** cells[row][column]; undefined: not measured. */
  readonly cells: readonly (readonly (HeatCell | undefined)[])[];
  /** The cell that colours are relative to, drawn beside the grid. */
  readonly baseline?: { readonly name: string; readonly cell: HeatCell | undefined };
  /** Lines below. */
  readonly notes?: readonly string[];
}

type Rgb = readonly [number, number, number];
const [worse, neutral, better]: readonly [Rgb, Rgb, Rgb] = [
  [181, 80, 36],
  [238, 238, 232],
  [28, 92, 160],
];

/**
 * Position in [-1, 1] between worse and better as a colour, and whether white text is read on it.
 */
function tint(position: number): { fill: string; dark: boolean } {
  const share = Math.min(1, Math.abs(position)),
    end = position < 0 ? worse : better;
  const mix = neutral.map((value, i) => Math.round(value + (end[i]! - value) * share));
  return { fill: `rgb(${mix.join(',')})`, dark: share > 0.55 };
}

const plusMinus = (interval: number | undefined): string =>
  interval === undefined ? '' : `\u00b1${(100 * interval).toFixed(1)}`;

interface TextOptions {
  readonly size?: number;
  readonly anchor?: 'start' | 'middle' | 'end';
  readonly bold?: boolean;
  readonly fill?: string;
  readonly rotate?: number;
}
function text(
  x: number,
  y: number,
  content: string,
  { size = 13, anchor = 'middle', bold, fill = 'currentColor', rotate }: TextOptions = {},
): string {
  const turn = rotate === undefined ? '' : ` transform="rotate(${rotate} ${x} ${y})"`;
  return (
    `<text x="${x}" y="${y}" font-size="${size}" text-anchor="${anchor}" ` +
    `fill="${fill}"${bold ? ' font-weight="700"' : ''}${turn}>${escapeHtml(content)}</text>`
  );
}

const picture = (width: number, height: number, label: string, parts: readonly string[]): string =>
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" ` +
  `role="img" aria-label="${escapeHtml(label)}" ` +
  `style="max-width:${width}px;overflow:visible" font-family="${fontFamily}, system-ui, ` +
  `sans-serif">${parts.join('')}</svg>`;

const cellWidth = 132,
  cellHeight = 92,
  gap = 4;

function drawCell(x: number, y: number, cell: HeatCell | undefined, strongest: number): string {
  const box = (fill: string, extra: string): string =>
    `<rect x="${x}" y="${y}" width="${cellWidth - gap}" height="${cellHeight - gap}" rx="6" fill="${fill}"${extra}/>`;
  const centre = x + (cellWidth - gap) / 2;
  if (cell === undefined) {
    return (
      box('none', ' stroke="#9aa0a8" stroke-dasharray="3 4"') +
      text(centre, y + cellHeight / 2, 'not measured', { size: 12, fill: '#7c8189' })
    );
  }
  const { fill, dark } = tint(cell.gain === undefined ? 0 : cell.gain / strongest);
  const ink = dark ? '#ffffff' : '#1d1f22';
  const border = cell.best
    ? ' stroke="#c99700" stroke-width="4"'
    : cell.unfinished === undefined
      ? ''
      : ' stroke="#8b9098" stroke-dasharray="5 4"';
  return [
    box(fill, border),
    text(centre, y + 31, percent(cell.mean), { size: 20, bold: true, fill: ink }),
    text(
      centre,
      y + 51,
      [plusMinus(cell.interval), cell.gain === undefined ? '' : `(${points(cell.gain)})`].join(' ').trim(),
      { size: 13, fill: ink },
    ),
    text(centre, y + 73, cell.best ? 'best' : (cell.unfinished ?? ''), {
      size: 12,
      fill: ink,
      bold: cell.best,
    }),
  ].join('');
}

/**
 * A heat map of accuracies as SVG: in each cell the mean, its 95% interval, and in brackets what it
 * gains over the baseline after the same epochs, which is also its colour. Cells that were not
 * trained in full have a dashed border and say so.
 */
export function heatMap({ title, xLabel, yLabel, columns, rows, cells, baseline, notes = [] }: HeatMapOptions): string {
  const top = 62,
    aside = baseline === undefined ? 0 : cellWidth + 14;
  const left = 12 + aside + 62;
  const width = Math.max(left + columns.length * cellWidth + 12, 560);
  const grid = top + rows.length * cellHeight;
  const height = grid + 50 + notes.length * 18;
  const gains = cells.flat().flatMap((cell) => (cell?.gain === undefined ? [] : [Math.abs(cell.gain)]));
  const strongest = Math.max(0.005, ...gains);
  return picture(width, height, title, [
    text(12, 26, title, { size: 17, anchor: 'start', bold: true }),
    ...(baseline === undefined
      ? []
      : [
          text(12 + (cellWidth - gap) / 2, top - 10, baseline.name, { size: 15 }),
          drawCell(12, top, baseline.cell, strongest),
        ]),
    text(left - 46, top + (rows.length * cellHeight) / 2, yLabel, { rotate: -90 }),
    ...rows.map((name, row) =>
      text(left - 12, top + row * cellHeight + cellHeight / 2 + 3, name, { size: 15, anchor: 'end' }),
    ),
    ...columns.map((name, column) =>
      text(left + column * cellWidth + (cellWidth - gap) / 2, top - 10, name, { size: 15 }),
    ),
    ...cells.flatMap((line, row) =>
      line.map((cell, column) => drawCell(left + column * cellWidth, top + row * cellHeight, cell, strongest)),
    ),
    text(left + (columns.length * cellWidth) / 2, grid + 16, xLabel),
    ...notes.map((note, i) => text(12, grid + 46 + i * 18, note, { size: 12.5, anchor: 'start' })),
  ]);
}

/** One line of a ranking. */
export interface RankedRow extends HeatCell {
  readonly name: string;
  /** The row that others are compared with. */
  readonly baseline?: boolean;
  /** Rows of one group were trained for the same epochs. */
  readonly group: string;
}

export interface RankingOptions {
  readonly title: string;
  readonly rows: readonly RankedRow[];
  readonly notes?: readonly string[];
}

/**
 * A ranking as SVG: a dot and a 95% interval for each row, best first, under the headings of their
 * groups; a rule marks the baseline of each group.
 */
export function rankedChart({ title, rows, notes = [] }: RankingOptions): string {
  const groups = [...new Set(rows.map(({ group }) => group))];
  const names = Math.min(420, Math.max(150, ...rows.map(({ name }) => name.length * 7.2)));
  const left = 24 + names,
    plot = 380,
    numbers = 150,
    width = left + plot + numbers,
    rowHeight = 26;
  const axis = shareAxis(rows.flatMap(({ mean, interval = 0 }) => [mean - interval, mean + interval]));
  const at = (value: number): number => Math.round((left + axis.at(value) * plot) * 10) / 10;
  const parts = [text(12, 26, title, { size: 17, anchor: 'start', bold: true })];
  let y = 46;
  for (const group of groups) {
    const members = rows.filter((row) => row.group === group);
    y += 18;
    parts.push(text(12, y, group, { size: 12.5, anchor: 'start' }));
    y += 8;
    const base = members.find((row) => row.baseline);
    if (base)
      parts.push(
        `<path d="M${at(base.mean)} ${y}V${y + members.length * rowHeight}" stroke="#b55024" stroke-dasharray="4 3"/>`,
      );
    for (const row of members) {
      const centre = y + rowHeight / 2,
        colour = row.best ? '#c99700' : row.baseline ? '#b55024' : row.unfinished === undefined ? '#1c5ca0' : '#8b9098';
      const shown =
        row.name.length * 7.2 > names ? `${row.name.slice(0, Math.floor(names / 7.2) - 1)}\u2026` : row.name;
      if (row.interval !== undefined)
        parts.push(
          `<path d="M${at(row.mean - row.interval)} ${centre}H${at(row.mean + row.interval)}" stroke="${colour}" ` +
            'stroke-width="2"/>',
        );
      parts.push(
        text(left - 12, centre + 4, shown, { anchor: 'end', bold: row.best }),
        `<circle cx="${at(row.mean)}" cy="${centre}" r="5" fill="${colour}"/>`,
        text(
          left + plot + 12,
          centre + 4,
          [
            percent(row.mean),
            plusMinus(row.interval),
            row.gain === undefined || row.baseline ? '' : `(${points(row.gain)})`,
          ]
            .join(' ')
            .trim(),
          { anchor: 'start' },
        ),
      );
      y += rowHeight;
    }
    y += 6;
  }
  parts.splice(
    1,
    0,
    ...axis.ticks.flatMap((tick) => [
      `<path d="M${at(tick)} 46V${y}" stroke="currentColor" stroke-opacity="0.12"/>`,
      text(at(tick), y + 16, tickLabel(tick), { size: 12 }),
    ]),
  );
  y += 40;
  return picture(width, y + notes.length * 18, title, [
    ...parts,
    ...notes.map((note, i) => text(12, y + i * 18, note, { size: 12.5, anchor: 'start' })),
  ]);
}
