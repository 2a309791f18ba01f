import { pathToFileURL } from 'node:url';
import { escaped, shown } from './terminal.js';
import { duration } from '../report/format.js';

/** Columns that a table may take: those of the display; any number where its reader is a file or a program. */
const tableWidth = (): number => (process.stdout.isTTY ? process.stdout.columns || 80 : Infinity);

/**
 * Rows of text as aligned columns; the first row is the heading. Columns whose cells are all
 * numbers are right-aligned. Cells of a table that is wider than `width` go on in the next line.
 */
export function table(cells: readonly (readonly string[])[], width = tableWidth()): string {
  const rows = cells.map((row) => row.map(printable));
  const columns = Math.max(...rows.map((row) => row.length));
  const numeric = Array.from({ length: columns }, (_, c) =>
    rows
      .slice(1)
      .every((row) => /^[-+]?[\d.,]*( ?[%a-zA-Z/]{0,9})?( ± [\d.]+| \([\d.]+ to [\d.]+%\))?$/.test(row[c] ?? '')),
  );
  const widths = fittingWidths(rows, numeric, width);
  const line = (row: readonly string[]): string => {
    const parts = widths.map((size, c) => wrapped(row[c] ?? '', size));
    return Array.from({ length: Math.max(...parts.map((part) => part.length)) }, (_, i) =>
      widths
        .map((size, c) => pad(parts[c]![i] ?? '', size, numeric[c]! && c > 0))
        .join('  ')
        .trimEnd(),
    ).join('\n');
  };
  const rule = widths.map((size) => '-'.repeat(size)).join('  ');
  return `${[line(rows[0] ?? []), rule, ...rows.slice(1).map(line)].join('\n')}\n`;
}

/** Widths of columns: their own, or narrower ones in a table that is too wide. Numbers stay on one line. */
function fittingWidths(
  [heading = [], ...rows]: readonly (readonly string[])[],
  numeric: readonly boolean[],
  width: number,
): number[] {
  const widest = (texts: readonly string[]): number => Math.max(0, ...texts.map(displayWidth));
  const content = numeric.map((_, c) => widest(rows.map((row) => row[c] ?? '')));
  const widths = content.map((size, c) => Math.max(size, displayWidth(heading[c] ?? '')));
  const least = content.map((size, c) =>
    Math.max(widest((heading[c] ?? '').split(' ')), numeric[c] ? size : Math.min(size, 10)),
  );
  let over = widths.reduce((sum, size) => sum + size + 2, -2) - width;
  const narrow = (limits: readonly number[]): void => {
    for (; over > 0; over--) {
      const room = widths.map((size, c) => (size > limits[c]! ? size : 0));
      const largest = room.indexOf(Math.max(...room));
      if (room[largest] === 0) return;
      widths[largest]!--;
    }
  };
  // Long headings first.
  narrow(content.map((size, c) => Math.max(size, least[c]!)));
  narrow(least);
  return widths;
}

/** A text in lines of at most `width` columns, broken at spaces, or else behind a slash, a hyphen... or anywhere. */
function wrapped(text: string, width: number): string[] {
  const lines: string[] = [];
  let rest = text;
  while (displayWidth(rest) > width) {
    let end = 0;
    while (displayWidth(rest.slice(0, end + 1)) <= width) end++;
    const space = rest.lastIndexOf(' ', end);
    const better = /^.*[/,_.:-]/u.exec(rest.slice(0, end))?.[0].length ?? 0;
    const at = space > 0 ? space : better > end / 2 ? better : Math.max(1, end);
    lines.push(rest.slice(0, at).trimEnd());
    rest = rest.slice(at).trimStart();
  }
  return [...lines, rest];
}

/** Names and values, one pair a line, values aligned. */
export function facts(pairs: readonly (readonly [string, string])[]): string {
  const width = Math.max(...pairs.map(([name]) => displayWidth(name)));
  return pairs.map(([name, value]) => `${pad(name, width, false)}  ${printable(value)}\n`).join('');
}

/** What every run ends with: how long it took (`of`: which sessions of it), and where things are. */
export const runFacts = (
  { run, model, seconds }: { readonly run: string; readonly model?: string; readonly seconds: number },
  more: readonly (readonly [string, string])[] = [],
  of = '',
): readonly (readonly [string, string])[] => [
  ['time', `${duration(seconds)}${of}`],
  ['run', run],
  ...more,
  ...(model === undefined ? [] : ([['model', model]] as const)),
  ['report', pathToFileURL(`${run}/report.html`).href],
];

/**
 * Columns that a text takes: wide characters (East Asian, emoji) take two, combining marks none.
 */
export function displayWidth(text: string): number {
  let width = 0;
  for (const character of text) {
    const code = character.codePointAt(0)!;
    if (/\p{Mark}/u.test(character) || code === 0x200d) continue;
    const wide =
      (code >= 0x1100 && code <= 0x115f) ||
      (code >= 0x2e80 && code <= 0xa4cf) ||
      (code >= 0xac00 && code <= 0xd7a3) ||
      (code >= 0xf900 && code <= 0xfaff) ||
      (code >= 0xfe30 && code <= 0xfe6f) ||
      (code >= 0xff00 && code <= 0xff60) ||
      (code >= 0x1f300 && code <= 0x1faff) ||
      (code >= 0x20000 && code <= 0x3fffd);
    width += wide ? 2 : 1;
  }
  return width;
}

/** The text, or its beginning with an ellipsis that takes at most `width` columns. */
export function cut(text: string, width: number): string {
  if (displayWidth(text) <= width) return text;
  let start = '';
  for (const character of text) {
    if (displayWidth(start + character) > width - 1) break;
    start += character;
  }
  return width < 1 ? '' : `${start}\u2026`;
}

const pad = (text: string, width: number, right: boolean): string => {
  const space = ' '.repeat(Math.max(0, width - displayWidth(text)));
  return right ? space + text : text + space;
};

/** A name as one line of a display: what `shown` escapes, and line ends and tabs. */
export const printable = (text: string): string => shown(text).replace(/[\n\t]/g, escaped);

/** A share, as points with their interval: ` ± 1.5`; nothing where there is none. */
export const plusMinus = (interval: number | undefined): string =>
  interval === undefined ? '' : ` \u00b1 ${(100 * interval).toFixed(1)}`;

/** A share as a percentage with one decimal. */
export const percent = (value: number): string => `${(100 * value).toFixed(1)}%`;

/** A count with thousands separated. */
export const count = (value: number): string => Math.round(value).toLocaleString('en-US');

/** A large number in short: `3.5 M`, `1.2 G`. */
export function compact(value: number): string {
  const units = ['', ' k', ' M', ' G', ' T'];
  let index = 0;
  while (value >= 999.5 && index < units.length - 1) {
    value /= 1000;
    index++;
  }
  return `${index === 0 ? String(Math.round(value)) : value.toPrecision(3)}${units[index]!}`;
}
