/** From the names of files to splits and classes. */
import type { Scan, Entry } from './scan.js';
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
export interface Placed {
  readonly entry: Entry;
  readonly split: Split;
  /** undefined for an unlabelled image. */
  readonly className: string | undefined;
}

export interface Layout {
  readonly placed: readonly Placed[];
  /** Classes by folder, also those without files. */
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

interface Tree {
  readonly entries: readonly Entry[];
  readonly folders: readonly string[];
  readonly strays: readonly Entry[];
  readonly ignoredFolders: readonly string[];
}

/** The names at the top of a tree that are folders. */
const topsOf = ({ entries, folders }: Pick<Tree, 'entries' | 'folders'>): string[] => [
  ...new Set([
    ...folders.map(firstPart),
    ...entries.filter(({ name }) => name.includes('/')).map(({ name }) => firstPart(name)),
  ]),
];

/**
 * Goes into the folder that all images lie in, as archives often have one ("flowers/train/..."),
 * past texts and other files beside it.
 */
function withoutCommonFolder(tree: Tree): Tree {
  const { entries, folders } = tree;
  const holds = new Set(entries.filter(isImage).map(({ name }) => firstPart(name)));
  const filled = new Set(entries.map(({ name }) => firstPart(name)));
  const [top] = holds;
  // A folder without any file may be a class that was forgotten.
  const others = topsOf(tree).filter((name) => name !== top);
  if (holds.size !== 1 || top === undefined || splitOf(top) !== undefined || others.some((name) => !filled.has(name)))
    return tree;
  const inside = folders.filter((name) => name.startsWith(`${top}/`));
  const below = entries.filter(({ name }) => name.startsWith(`${top}/`));
  // One folder that holds images itself is a class, not a wrapper.
  if (entries.some((entry) => isImage(entry) && entry.name.split('/').length < 3)) return tree;
  return withoutCommonFolder({
    entries: below.map((entry) => ({ ...entry, name: entry.name.slice(top.length + 1) })),
    folders: inside.map((name) => name.slice(top.length + 1)),
    strays: [...tree.strays, ...entries.filter(({ name }) => !name.startsWith(`${top}/`))],
    ignoredFolders: [...tree.ignoredFolders, ...others],
  });
}

/** Folders that stand for a split: those with folders below them in which their images lie. */
function splitFolders(tops: readonly string[], { entries, folders }: Tree): Map<string, Split> {
  const depths = new Map<string, number>(),
    images = new Set<string>();
  for (const { name, problem } of entries) {
    if (problem !== undefined) continue;
    const top = firstPart(name);
    images.add(top);
    depths.set(top, Math.max(depths.get(top) ?? 0, name.split('/').length));
  }
  const hasFolders = new Set(folders.filter((name) => name.includes('/')).map(firstPart));
  const isSplit = ([top, split]: [string, Split]): boolean =>
    split === 'unlabelled' || (images.has(top) ? depths.get(top)! > 2 : hasFolders.has(top));
  return new Map([...splitsAmong(tops)].filter(isSplit));
}

/** Folders of a split's own name in it, which archives of Kaggle have: `seg_train/seg_train/sea`. */
function repeatedFolder(top: string, split: Split, { entries, folders }: Tree): string {
  const children = new Set(
    [...folders, ...entries.filter(isImage).map(({ name }) => name)]
      .filter((name) => name.startsWith(`${top}/`))
      .map((name) => firstPart(name.slice(top.length + 1))),
  );
  const [child] = children;
  if (children.size !== 1 || child === undefined) return top;
  if (child !== top && splitOf(child) !== split && wordsOf(child).length > 0) return top;
  const inner = `${top}/${child}`;
  const directly = entries.some(
    (entry) =>
      isImage(entry) && entry.name.startsWith(`${inner}/`) && !entry.name.slice(inner.length + 1).includes('/'),
  );
  return directly || entries.some(({ name }) => name === inner) ? top : inner;
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
function splitsBelowClasses(tops: readonly string[], { entries }: Tree): boolean {
  const below = new Map(tops.map((top) => [top, new Set<Split | undefined>()]));
  for (const { name, problem } of entries) {
    if (problem !== undefined) continue;
    const [top, second, third] = name.split('/', 3);
    below.get(top!)?.add(third === undefined ? undefined : splitOf(second!));
  }
  return tops.length > 1 && [...below.values()].every((splits) => splits.has('train') && !splits.has(undefined));
}

/**
 * A folder that means train, val or test (`splitOf`) is a split when its images lie in folders below
 * it (otherwise it is a class of that name); below it, or at the root when there is no split, each
 * folder is a class. `unlabelled` beside them holds images without labels.
 */
export function layOut(scan: Pick<Scan, 'entries' | 'folders'>): Layout {
  const tree = withoutCommonFolder({ ...scan, strays: [], ignoredFolders: [] });
  const { entries, folders } = tree;
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
  const placed: Placed[] = [],
    strays = [...tree.strays];
  const classNames = new Set<string>();
  const ignoredFolders = new Set(tree.ignoredFolders);
  const below = new Map<string, Set<string>>();
  for (const folder of folders) {
    const place = placeOf(folder);
    if (place?.className !== undefined) classNames.add(place.className);
    else if (labelledSplits && !splits.has(firstPart(folder))) ignoredFolders.add(firstPart(folder));
  }
  for (const entry of entries) {
    const slash = entry.name.lastIndexOf('/');
    const place = slash < 0 ? undefined : placeOf(entry.name.slice(0, slash));
    if (place === undefined) {
      strays.push(entry);
      continue;
    }
    const { split, className, depth } = place;
    placed.push({ entry, split, className });
    if (className === undefined) continue;
    classNames.add(className);
    if (!isImage(entry)) continue;
    const parts = entry.name.split('/', depth + 2);
    if (!below.has(className)) below.set(className, new Set());
    below.get(className)!.add(parts.length > depth + 1 ? normalName(parts[depth]!) : '');
  }
  const doubt = swapped ? undefined : ((labelledSplits ? undefined : flatSplits(below)) ?? sameSubfolders(below));
  return { placed, classNames: [...classNames], strays, ignoredFolders: [...ignoredFolders], doubt };
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
