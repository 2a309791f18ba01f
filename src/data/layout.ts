/** From the names of files to splits and classes. */
import { FileEntry, type Origin } from './file-table.js';
import type { Entry, FileTree } from './scan.js';
import type { Split } from './sample.js';

/** Words for a split, as folders, archives and manifests have them. */
const splitWords: Readonly<Record<string, Split>> = {
  train: 'train',
  training: 'train',
  val: 'val',
  valid: 'val',
  validation: 'val',
  dev: 'val',
  test: 'test',
  testing: 'test',
  eval: 'test',
  evaluation: 'test',
  holdout: 'test',
  unlabelled: 'unlabelled',
  unlabeled: 'unlabelled',
};

/** Words beside them that say nothing: `training_set`, `TestImages`, `seg_train`, `val2017`. */
const fillers = new Set(
  ['data', 'dataset', 'set', 'seg', 'split', 'folder', 'subset', 'image', 'img', 'photo', 'picture', 'pic'].flatMap(
    (word) => [word, `${word}s`],
  ),
);

/** One spelling of a name: macOS takes é apart into two characters where others write one. */
export const normalName = (name: string): string => name.normalize('NFC');

/** The words of a name in lower case, without those that say nothing; `trainset` is two of them. */
function wordsOf(name: string): string[] {
  const words = name
    .replace(/(\p{Ll})(?=\p{Lu})/gu, '$1 ')
    .toLowerCase()
    .split(/[^\p{L}]+/u);
  return words
    .flatMap((word) => {
      const [, start, end] = /^(.*?)(datasets?|data|sets?|images?|imgs?)$/.exec(word) ?? [];
      return start !== undefined && Object.hasOwn(splitWords, start) ? [start, end!] : [word];
    })
    .filter((word) => word !== '' && !fillers.has(word));
}

/**
 * The split that a folder's or a manifest's word means (`train`, `Training Set`, `test_images`);
 * undefined for any other word.
 */
export function splitOf(name: string): Split | undefined {
  const [word, ...others] = wordsOf(name);
  return word !== undefined && others.length === 0 && Object.hasOwn(splitWords, word) ? splitWords[word] : undefined;
}

/**
 * Which of several names mean a split: by themselves, or as `birds_train` and `birds_test` do
 * beside each other.
 */
export function splitsAmong(names: readonly string[]): ReadonlyMap<string, Split> {
  const direct = new Map(
    names.flatMap((name) => {
      const split = splitOf(name);
      return split === undefined ? [] : [[name, split] as const];
    }),
  );
  if ([...direct.values()].some((split) => split !== 'unlabelled')) return direct;
  const groups = new Map<string, Map<string, Split>>();
  for (const name of names) {
    const words = wordsOf(name);
    const places = words.flatMap((word, i) => (Object.hasOwn(splitWords, word) ? [i] : []));
    if (places.length !== 1) continue;
    const rest = words.map((word, i) => (i === places[0] ? '*' : word)).join(' ');
    if (!groups.has(rest)) groups.set(rest, new Map());
    groups.get(rest)!.set(name, splitWords[words[places[0]!]!]!);
  }
  const [group, ...others] = [...groups.values()];
  const splits = new Set(group?.values());
  return group !== undefined && others.length === 0 && splits.has('train') && splits.size > 1
    ? new Map([...direct, ...group])
    : direct;
}

/** A file with its place in the data set. */
export interface Placed extends Origin {
  readonly entry: Entry;
  readonly split: Split;
  /** undefined for an unlabelled image. */
  readonly className: string | undefined;
}

export interface Layout {
  /** In the order of the files; made as they are asked for. */
  readonly placed: Iterable<Placed>;
  /** All classes, also those without files. */
  readonly classNames: readonly string[];
  /** Files outside any class folder. */
  readonly strays: readonly Entry[];
  /** Folders beside train, val and test. */
  readonly ignoredFolders: readonly string[];
  /** Why these are hardly the classes that are meant, and what to do. */
  readonly doubt?: string | undefined;
}

const firstPart = (name: string): string => (name.includes('/') ? name.slice(0, name.indexOf('/')) : name);
const isImage = ({ problem }: Entry): boolean => problem === undefined;

/** What a file's name begins with: its folder and '/', or ''. */
const startOf = (entry: Entry): string =>
  entry instanceof FileEntry ? entry.folder : entry.name.slice(0, entry.name.lastIndexOf('/') + 1);

/** The folders of a tree of files. */
interface Tree {
  /** Names of folders that were gone into, each in the one before. */
  readonly tops: readonly string[];
  /** Folders by their names below these, as those that follow. */
  readonly folders: readonly string[];
  /** Those with files, and those with images, in the order of their first one; '' is the top itself. */
  readonly filled: readonly string[];
  readonly pictured: readonly string[];
  /** Folders beside those that were gone into. */
  readonly ignoredFolders: readonly string[];
}

function treeOf({ entries, folders }: Pick<FileTree, 'entries' | 'folders'>): Tree {
  const filled = new Set<string>(),
    pictured = new Set<string>();
  for (const entry of entries) {
    const start = startOf(entry);
    filled.add(start);
    if (isImage(entry)) pictured.add(start);
  }
  const named = (starts: ReadonlySet<string>): string[] => [...starts].map((start) => start.slice(0, -1));
  return { tops: [], folders, filled: named(filled), pictured: named(pictured), ignoredFolders: [] };
}

/** The names at the top of a tree that are folders. */
const topsOf = ({ folders, filled }: Tree): string[] => [
  ...new Set([...folders, ...filled.filter((name) => name !== '')].map(firstPart)),
];

/**
 * Goes into the folder that all images lie in, as archives often have one ("flowers/train/..."),
 * past texts and other files beside it.
 */
function withoutCommonFolder(tree: Tree): Tree {
  const { folders, filled, pictured } = tree;
  const holds = new Set(pictured.map(firstPart));
  const withFiles = new Set(filled.map(firstPart));
  const [top] = holds;
  // A folder without any file may be a class that was forgotten.
  const others = topsOf(tree).filter((name) => name !== top);
  if (holds.size !== 1 || !top || splitOf(top) !== undefined || others.some((name) => !withFiles.has(name)))
    return tree;
  // One folder that holds images itself is a class, not a wrapper.
  if (pictured.includes(top)) return tree;
  const below = (names: readonly string[]): string[] =>
    names.flatMap((name) => (name === top ? [''] : name.startsWith(`${top}/`) ? [name.slice(top.length + 1)] : []));
  return withoutCommonFolder({
    tops: [...tree.tops, top],
    folders: below(folders.filter((name) => name !== top)),
    filled: below(filled),
    pictured: below(pictured),
    ignoredFolders: [...tree.ignoredFolders, ...others],
  });
}

/** Folders that stand for a split: those with folders below them in which their images lie. */
function splitFolders(tops: readonly string[], { folders, pictured }: Tree): Map<string, Split> {
  const hasFolders = new Set(folders.filter((name) => name.includes('/')).map(firstPart));
  const images = new Set(pictured.map(firstPart));
  const below = new Set(pictured.filter((name) => name.includes('/')).map(firstPart));
  const isSplit = ([top, split]: [string, Split]): boolean =>
    split === 'unlabelled' || (images.has(top) ? below : hasFolders).has(top);
  return new Map([...splitsAmong(tops)].filter(isSplit));
}

/** Folders of a split's own name in it, which archives of Kaggle have: `seg_train/seg_train/sea`. */
function repeatedFolder(top: string, split: Split, { folders, pictured }: Tree): string {
  if (pictured.includes(top)) return top;
  const children = new Set(
    [...folders, ...pictured]
      .filter((name) => name.startsWith(`${top}/`))
      .map((name) => firstPart(name.slice(top.length + 1))),
  );
  const [child] = children;
  if (children.size !== 1 || child === undefined) return top;
  if (child !== top && splitOf(child) !== split && wordsOf(child).length > 0) return top;
  const inner = `${top}/${child}`;
  return pictured.includes(inner) ? top : inner;
}

/** A place, and how many parts of the path lead to the class's folder. */
interface Place extends Omit<Placed, 'entry'> {
  readonly depth: number;
}
/** The place of a folder and what is below it; undefined for one outside any class. */
type Placing = (folder: string) => Place | undefined;

const placeIn = (split: Split, className: string, depth: number): Place => ({
  split,
  className: normalName(className),
  depth,
});

/** Each folder below a split is a class. */
function belowSplits(splits: ReadonlyMap<string, Split>, tree: Tree): Placing {
  const roots = new Map([...splits].map(([top, split]) => [top, repeatedFolder(top, split, tree)]));
  return (folder) => {
    const top = firstPart(folder);
    const split = splits.get(top);
    if (split === undefined) return undefined;
    if (split === 'unlabelled') return { split, className: undefined, depth: 1 };
    const root = roots.get(top)!;
    if (!folder.startsWith(`${root}/`)) return undefined;
    return placeIn(split, firstPart(folder.slice(root.length + 1)), root.split('/').length + 1);
  };
}

/** `cat/train`, `cat/test`, `dog/train`...: splits below the classes, where all have them. */
function splitsBelowClasses(tops: readonly string[], { pictured }: Tree): boolean {
  const below = new Map(tops.map((top) => [top, new Set<Split | undefined>()]));
  for (const folder of pictured) {
    const [top, second] = folder.split('/', 2);
    below.get(top!)?.add(second === undefined ? undefined : splitOf(second));
  }
  return tops.length > 1 && [...below.values()].every((splits) => splits.has('train') && !splits.has(undefined));
}

/**
 * A folder that means train, val or test (`splitOf`) is a split when its images lie in folders below
 * it (otherwise it is a class of that name); below it, or at the root when there is no split, each
 * folder is a class. `unlabelled` beside them holds images without labels.
 */
export function layOut(scan: Pick<FileTree, 'entries' | 'folders'>): Layout {
  const whole = treeOf(scan);
  const tree = withoutCommonFolder(whole);
  const { folders, filled, pictured } = tree;
  const tops = topsOf(tree);
  const splits = splitFolders(tops, tree);
  const labelledSplits = [...splits.values()].some((split) => split !== 'unlabelled');
  const inSplits = belowSplits(splits, tree);
  const swapped =
    !labelledSplits &&
    splitsBelowClasses(
      tops.filter((top) => !splits.has(top)),
      tree,
    );
  const placeOf: Placing = (folder) => {
    const [top, second] = folder.split('/', 2);
    if (labelledSplits || splits.has(top!)) return inSplits(folder);
    if (swapped) return placeIn((second === undefined ? undefined : splitOf(second)) ?? 'train', top!, 1);
    return top === undefined || top === '' ? undefined : placeIn('train', top, 1);
  };
  const classNames = new Set<string>();
  const ignoredFolders = new Set(tree.ignoredFolders);
  for (const folder of folders) {
    const place = placeOf(folder);
    if (place?.className !== undefined) classNames.add(place.className);
    else if (labelledSplits && !splits.has(firstPart(folder))) ignoredFolders.add(firstPart(folder));
  }
  const top = tree.tops.map((name) => `${name}/`).join('');
  /** Places of folders with files, by what names of their files begin with. */
  const places = new Map<string, Place>();
  for (const folder of filled) {
    const place = folder === '' ? undefined : placeOf(folder);
    if (place?.className !== undefined) classNames.add(place.className);
    if (place !== undefined) places.set(`${top}${folder}/`, place);
  }
  const below = new Map<string, Set<string>>();
  for (const folder of pictured) {
    const place = places.get(`${top}${folder}/`);
    if (place?.className === undefined) continue;
    if (!below.has(place.className)) below.set(place.className, new Set());
    below.get(place.className)!.add(normalName(folder.split('/')[place.depth] ?? ''));
  }
  const doubt = swapped ? undefined : ((labelledSplits ? undefined : flatSplits(below)) ?? sameSubfolders(below));
  const { entries } = scan;
  return {
    placed: {
      *[Symbol.iterator]() {
        for (const entry of entries) {
          const place = places.get(startOf(entry));
          if (place !== undefined) yield { entry, split: place.split, className: place.className };
        }
      },
    },
    classNames: [...classNames],
    strays: places.size < whole.filled.length ? straysIn(entries, places, tree.tops) : [],
    ignoredFolders: [...ignoredFolders],
    doubt,
  };
}

/** Files that have no place: first those beside `tops`, from above. */
function straysIn(entries: Iterable<Entry>, places: ReadonlyMap<string, Place>, tops: readonly string[]): Entry[] {
  const levels = [...tops, ''].map((): Entry[] => []);
  for (const entry of entries) {
    const start = startOf(entry);
    if (places.has(start)) continue;
    const parts = start.split('/');
    const other = tops.findIndex((top, depth) => parts[depth] !== top);
    levels.at(other)!.push(entry);
  }
  return levels.flat();
}

const shown = (names: readonly string[]): string =>
  names.length > 3 ? `${names.slice(0, 3).join(', ')} and ${names.length - 3} more` : names.join(', ');

/** Why folders that all mean a split and hold images themselves are no classes. */
function flatSplits(below: ReadonlyMap<string, ReadonlySet<string>>): string | undefined {
  const names = [...below.keys()];
  if (names.length === 0 || names.some((name) => splitOf(name) === undefined)) return undefined;
  return (
    `${names.length === 1 ? `the folder ${names[0]!} holds` : `the folders ${shown(names)} hold`} images without ` +
    'class folders; make one folder per class in each, or list the images in a manifest with the columns path,label'
  );
}

/**
 * Why folders are hardly the classes: all of them hold the same two folders or more, and no image
 * beside these. `below` are the folders in each class, '' for an image.
 */
function sameSubfolders(below: ReadonlyMap<string, ReadonlySet<string>>): string | undefined {
  const [first, ...others] = below.values();
  if (first === undefined || others.length === 0 || [...below.values()].some((names) => names.has('')))
    return undefined;
  const common = [...first].filter((name) => others.every((names) => names.has(name)));
  if (common.length < 2) return undefined;
  return (
    `the folders ${shown([...below.keys()])} would be the classes, but each of them holds the same folders ` +
    `${shown(common)}. If those are the classes, name the folders above them train, val or test; ` +
    'if not, move the images up, or list them in a manifest with the columns path,label'
  );
}
