/** Labels from the folders that images lie in, where these are classes; and what a person should know of that. */
import { layOut } from '../data/layout.js';
import type { FileTree } from '../data/scan.js';

export interface ClassFolders {
  /** Class of each image that has one, by its path. */
  readonly labels: ReadonlyMap<string, string>;
  /** A sentence for the person; null where there are no folders. */
  readonly note: string | null;
}

/** Folders that cameras, phones and people make without a thought of classes. */
const isDate = (name: string): boolean =>
  /^(19|20)\d\d([-_. ]?(0?[1-9]|1[0-2])([-_. ]?\d{1,2})?)?$/.test(name) ||
  /^\d{1,2}[-_.]\d{1,2}[-_.](19|20)\d\d$/.test(name);
const isCamera = (name: string): boolean => /^\d{3}[A-Z_]{5}$|^\d{3}_\w{4}$/.test(name);
const catchAlls = new Set([
  'all',
  'misc',
  'mixed',
  'unsorted',
  'uncategorized',
  'inbox',
  'camera',
  'camera roll',
  'dcim',
  'screenshots',
  'downloads',
  'imports',
]);
const isMixed = (name: string): boolean => catchAlls.has(name.toLowerCase().replaceAll(/[-_]/g, ' '));

/** Labels of at least two classes; folders by date or for all sorts of images are none. */
export function classFolders(tree: FileTree): ClassFolders {
  const { placed, doubt } = layOut(tree);
  const labelled = [...placed].filter(({ entry, className }) => entry.problem === undefined && className !== undefined);
  const names = [...new Set(labelled.map(({ className }) => className!))];
  const none = (note: string | null): ClassFolders => ({ labels: new Map(), note });
  if (doubt !== undefined) return none(`No labels were taken from folders: ${doubt}.`);
  const dates = names.filter((name) => isDate(name) || isCamera(name));
  if (dates.length > 0 && dates.length === names.length)
    return none(
      `The folders ${shown(dates)} look like dates or a camera's, not like classes; no labels were taken from them.`,
    );
  const others = new Set([...dates, ...names.filter(isMixed)]);
  const classes = names.filter((name) => !others.has(name));
  if (classes.length < 2)
    return none(
      names.length === 0 ? null : `No labels were taken from folders: there are no two that could be classes.`,
    );
  const paths = new Map(Array.from(tree.entries, ({ path, name }) => [path, name]));
  const labels = new Map(
    labelled
      .filter(({ className }) => !others.has(className!))
      .map(({ entry, className }) => [paths.get(entry.path)!, className!]),
  );
  const left =
    others.size === 0 ? '' : ` Images in ${shown([...others])} have no labels: the name says nothing of a class.`;
  return { labels, note: `${labels.size} images have the names of their folders as labels: ${shown(classes)}.${left}` };
}

const shown = (names: readonly string[]): string =>
  names.length > 4 ? `${names.slice(0, 4).join(', ')} and ${names.length - 4} more` : names.join(', ');
