/** Which columns of a list say what, by the names that they usually have. */
import { PupilError } from '../errors.js';
import { splitOf } from './layout.js';
import type { Split } from './sample.js';

type Role = 'path' | 'label' | 'split';

/** Names by role, the clearest first; compared in lower case, with _ for blanks and dashes. */
const names: Readonly<Record<Role, readonly string[]>> = {
  path: [
    ...['path', 'file_name', 'filename', 'file_path', 'filepath', 'file'],
    ...['image_path', 'imagepath', 'image_file', 'image_filename', 'image_name', 'image'],
    ...['img_path', 'img_file', 'img_name', 'img'],
  ],
  label: ['label', 'labels', 'class', 'class_name', 'classname', 'label_name', 'category', 'category_name', 'target'],
  split: ['split', 'subset', 'partition', 'set', 'fold', 'is_test', 'is_valid', 'is_val', 'is_validation', 'is_train'],
};

/** Names of a column of labels, the clearest first, as `plainName` has them. */
export const labelColumns = names.label;

/**
 * The column of `labels.csv` that says how a label was given, and its words for one that a model had suggested and for
 * an image that a person has set aside without one.
 */
export const sourceColumn = 'source',
  acceptedSource = 'accepted',
  skippedSource = 'skipped';
/**
 * The column of `labels.csv` that has a number at images that were drawn at random among all: their place in the random
 * order, or at all of them this mark.
 */
export const randomColumn = 'random',
  randomMark = '1';

/** The number of a cell in that column; 0: the image was not drawn. */
export function drawnAt(cell: unknown): number {
  const place = typeof cell === 'string' && cell.trim() !== '' ? Number(cell) : cell;
  return typeof place === 'number' && Number.isInteger(place) && place > 0 ? place : 0;
}

/** Columns of the lists that Pupil writes: nobody wonders that they are not read. */
const ours = new Set([
  ...['order', 'why', 'predicted', 'confidence', 'hash', 'accepted', 'copies', 'outlier', 'none'],
  ...[sourceColumn, randomColumn],
]);

export const plainName = (name: string): string =>
  name
    .trim()
    .toLowerCase()
    .replace(/[\s-]+/g, '_');

/** The columns that are read, as places in the list given. */
export interface Columns {
  readonly path: number;
  readonly label: number | undefined;
  readonly split: number | undefined;
  readonly source: number | undefined;
  readonly random: number | undefined;
  /** What a value of the split's column means. Throws `bad-data`, naming `where`, for what means nothing. */
  splitOf(value: string, where: string): Split | undefined;
  /** Those that are not read, though something stands in them. */
  readonly unread: readonly string[];
}

/**
 * Finds the columns of paths, labels and splits among `found`; `fold` and `set` are a split
 * only where their values are words for one, not numbers. Throws `bad-data`, naming `where`, where there is none of
 * paths, or two with one name.
 */
export function findColumns(
  found: readonly string[],
  valuesOf: (column: number) => Iterable<string>,
  where: string,
): Columns {
  const columns = found.map(plainName);
  const isNumbered = (column: number): boolean => {
    if (columns[column] !== 'fold' && columns[column] !== 'set') return false;
    for (const value of valuesOf(column)) if (value.trim() !== '' && splitOf(value) === undefined) return true;
    return false;
  };
  const find = (role: Role): number | undefined => {
    for (const name of names[role]) {
      const places = columns.flatMap((column, i) => (column === name && !isNumbered(i) ? [i] : []));
      if (places.length > 1)
        throw new PupilError('bad-data', `${where}: ${places.length} columns are called '${name}'; keep one of them`);
      if (places.length === 1) return places[0];
    }
    return undefined;
  };
  const path = find('path'),
    label = find('label'),
    split = find('split');
  if (path === undefined) {
    throw new PupilError(
      'bad-data',
      `${where}: it has no column 'path' (found: ${found.slice(0, 10).join(', ') || 'nothing'}); ` +
        'begin the file with path,label or path,label,split',
    );
  }
  const isFilled = (column: number): boolean => {
    for (const value of valuesOf(column)) if (value.trim() !== '') return true;
    return false;
  };
  const unread = found.filter(
    (name, i) =>
      ![path, label, split].includes(i) && plainName(name) !== '' && !ours.has(plainName(name)) && isFilled(i),
  );
  const kind = split === undefined ? 'split' : columns[split]!;
  const optional = (name: string): number | undefined => (columns.includes(name) ? columns.indexOf(name) : undefined);
  const [source, random] = [optional(sourceColumn), optional(randomColumn)];
  return { path, label, split, source, random, splitOf: (value, line) => meaningOf(kind, value, line), unread };
}

/** What `yes` in a column means, by its name, and what `no`. */
const flags: Readonly<Record<string, readonly [yes: Split, no: Split]>> = {
  is_test: ['test', 'train'],
  is_valid: ['val', 'train'],
  is_val: ['val', 'train'],
  is_validation: ['val', 'train'],
  is_train: ['train', 'val'],
};
const yes = /^(true|t|yes|y|1|1\.0)$/i,
  no = /^(false|f|no|n|0|0\.0)$/i;

function meaningOf(column: string, value: string, where: string): Split | undefined {
  const word = value.trim();
  if (word === '') return undefined;
  const meaning = flags[column];
  if (meaning === undefined) {
    const split = splitOf(word);
    if (split !== undefined) return split;
    throw new PupilError('bad-data', `${where}: ${column} '${word}' is not train, val, test or unlabelled`);
  }
  if (yes.test(word)) return meaning[0];
  if (no.test(word)) return meaning[1];
  throw new PupilError('bad-data', `${where}: ${column} '${word}' is neither true nor false`);
}
