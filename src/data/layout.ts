/** From the names of files to splits and classes. */
import type { Scan, Entry } from './scan.js';
import type { Split } from './sample.js';

const splitNames: Readonly<Record<string, Split>> = {
  train: 'train',
  training: 'train',
  val: 'val',
  valid: 'val',
  validation: 'val',
  dev: 'val',
  test: 'test',
  testing: 'test',
  unlabelled: 'unlabelled',
  unlabeled: 'unlabelled',
};

/** The split that a folder's or a manifest's word means; undefined for any other word. */
export const splitOf = (word: string): Split | undefined =>
  Object.hasOwn(splitNames, word.toLowerCase()) ? splitNames[word.toLowerCase()] : undefined;

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
}

const firstPart = (name: string): string => (name.includes('/') ? name.slice(0, name.indexOf('/')) : name);

/** Drops the folders that everything lies in, as archives often have them ("flowers/train/..."). */
function withoutCommonFolder({ entries, folders }: Scan): Scan {
  const tops = new Set([...entries.map(({ name }) => firstPart(name)), ...folders.map(firstPart)]);
  const [top] = tops;
  if (tops.size !== 1 || top === undefined || splitOf(top) !== undefined) return { entries, folders };
  const inside = folders.filter((name) => name.startsWith(`${top}/`));
  // One folder that holds images itself is a class, not a wrapper.
  if (
    entries.some(({ name }) => name.split('/').length < 3) ||
    (inside.length === 0 && !entries.some(({ name }) => name.split('/').length > 2))
  ) {
    return { entries, folders };
  }
  return withoutCommonFolder({
    entries: entries.map((entry) => ({ ...entry, name: entry.name.slice(top.length + 1) })),
    folders: inside.map((name) => name.slice(top.length + 1)),
  });
}

/**
 * A folder named train, val or test is a split when its images lie in folders below it (otherwise
 * it is a class of that name); below it, or at the root when there is no split, each folder is a
 * class. `unlabelled` beside them holds images without labels.
 */
export function layOut(scan: Scan): Layout {
  const { entries, folders } = withoutCommonFolder(scan);
  const tops = new Set([
    ...folders.map(firstPart),
    ...entries.filter(({ name }) => name.includes('/')).map(({ name }) => firstPart(name)),
  ]);
  const isSplit = (top: string): boolean => {
    const split = splitOf(top);
    if (split === undefined) return false;
    if (split === 'unlabelled') return true;
    const depth = entries
      .filter(({ name, problem }) => problem === undefined && name.startsWith(`${top}/`))
      .map(({ name }) => name.split('/').length);
    return depth.length === 0 ? folders.some((name) => name.startsWith(`${top}/`)) : depth.some((parts) => parts > 2);
  };
  const splits = new Set([...tops].filter(isSplit));
  const labelledSplits = [...splits].some((top) => splitOf(top) !== 'unlabelled');
  const placed: Placed[] = [],
    strays: Entry[] = [];
  const classNames = new Set<string>();
  const ignoredFolders = new Set<string>();
  const classFolder = (parts: readonly string[]): { split: Split; className: string | undefined } | undefined => {
    const [top, second] = parts;
    if (top === undefined) return undefined;
    if (splits.has(top)) {
      const split = splitOf(top)!;
      return split === 'unlabelled'
        ? { split, className: undefined }
        : second === undefined
          ? undefined
          : { split, className: second };
    }
    return labelledSplits ? undefined : { split: 'train', className: top };
  };
  for (const folder of folders) {
    const place = classFolder(folder.split('/'));
    if (place?.className !== undefined) classNames.add(place.className);
    else if (labelledSplits && !splits.has(firstPart(folder))) ignoredFolders.add(firstPart(folder));
  }
  for (const entry of entries) {
    const place = classFolder(entry.name.split('/').slice(0, -1));
    if (place === undefined) strays.push(entry);
    else {
      if (place.className !== undefined) classNames.add(place.className);
      placed.push({ entry, ...place });
    }
  }
  return { placed, classNames: [...classNames], strays, ignoredFolders: [...ignoredFolders] };
}
