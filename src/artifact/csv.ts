import { isAbsolute, relative, resolve, sep } from 'node:path';
import { guardedCell } from '../data/spreadsheet-cell.js';
import { isRemote } from '../http/address.js';

/** A field of a CSV file, quoted where it must be; no spreadsheet takes it for a formula (`plainCell` undoes that). */
export function csvField(text: string): string {
  const cell = guardedCell(text);
  return /[",\r\n]|^\s|\s$/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell;
}

/** How a CSV file for people begins: Excel takes it for UTF-8 only where there is a byte order mark. */
export const spreadsheetStart = '\ufeff';

/** A CSV file for people. */
export const spreadsheet = (rows: readonly (readonly string[])[]): string =>
  `${spreadsheetStart}${rows.map((row) => `${row.map(csvField).join(',')}\n`).join('')}`;

/**
 * The path to write for an image: from `folder` where it lies below, so that both can move
 * together; an address as it is.
 */
export function placeFrom(folder: string, path: string): string {
  if (isRemote(path)) return path;
  const full = resolve(path),
    below = relative(folder, full);
  return below === '' || below.startsWith('..') || isAbsolute(below) ? full : below.split(sep).join('/');
}
