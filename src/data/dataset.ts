import { resolve } from 'node:path';
import { assertOptions, shown } from '../arguments.js';
import { errorAbout, PupilError } from '../errors.js';
import { shownPlace } from '../http/address.js';
import type { Image } from '../image/image.js';
import { layOut, normalName, splitOf, type Layout, type Placed } from './layout.js';
import { listFiles, openListed, type ListedFile } from './listing.js';
import { isManifest, readManifest, type Manifest } from './manifest.js';
import { isParquet, parquetFilesAmong, readParquetImages } from './parquet/images.js';
import { datasetHash } from './dataset-hash.js';
import { FileEntry, sampleOf } from './file-table.js';
import { contentHash } from './read.js';
import { pathOf, type Dataset, type Sample, type Split, type Unreadable } from './sample.js';
import { scanFolder } from './scan-folder.js';
import { isOtherKind, type Entry, type FileTree } from './scan.js';
import { assertSkippable } from './skipping.js';
import { scanTars, type ArchiveOptions } from './archives.js';
import { shardsOf } from './tar.js';
import { readTree } from './tree.js';
import { counted, list } from './words.js';

/** How files are read. */
interface FilesOptions extends ArchiveOptions {
  /**
   * False: contents of a folder's files are hashed when a hash is asked for, which then waits for the disk. It opens
   * sooner: of a file only the beginning is read. Default true.
   */
  readonly hashes?: boolean | undefined;
}

export interface OpenOptions extends FilesOptions {
  /** Folders, archives or manifests of images without labels; any labels there are ignored. */
  readonly unlabelled?: string | readonly string[];
  /**
   * The classes in index order (as a trained model has them); by default those found, in natural
   * order.
   */
  readonly classes?: readonly string[];
}

const collator = new Intl.Collator('en', { numeric: true });

/**
 * Names in natural order: 2 before 10; equal ones by code unit, so that the order never depends on
 * the machine.
 */
export const naturalOrder = (a: string, b: string): number => collator.compare(a, b) || (a < b ? -1 : a > b ? 1 : 0);

/**
 * Opens a folder of classes, the same under train/, val/, test/, either inside .tar (also as
 * numbered shards, also of a host: https://HOST/x-{000..127}.tar), or a CSV or JSONL manifest. Every
 * file is read once and its content hashed (`hashes`); nothing is decoded. Throws `not-found` for a
 * missing path, `bad-data` for an unusable one and for a class that is not among `classes`, `network`
 * and `interrupted` where a host is read.
 */
export async function openDataset(place: string, options: OpenOptions = {}): Promise<Dataset> {
  assertOptions(options, ['unlabelled', 'classes', 'hashes', 'signal', 'skip']);
  const { unlabelled = [], classes, hashes, signal, skip } = options;
  const path = typeof place === 'string' ? shownPlace(place) : place;
  const {
    placed,
    classNames,
    strays,
    ignoredFolders,
    doubt,
    notes: odd,
    damaged = [],
  } = await readLabelled(place, { hashes, signal, skip });
  const notes = [...odd];
  if (doubt !== undefined) throw new PupilError('bad-data', `${path}: ${doubt}`);
  if (ignoredFolders.length > 0) notes.push(`${path}: ignored beside train, val and test: ${list(ignoredFolders)}`);
  if (strays.length > 0)
    notes.push(`${path}: ignored outside any class folder: ${list(strays.map(({ path: file }) => file))}`);
  const names = [...new Set(classNames)].sort(naturalOrder);
  notes.push(...noteOfSimilar(path, names));
  const known = new Set(classes?.map(normalName));
  const unknown = classes === undefined ? [] : names.filter((name) => !known.has(name));
  if (unknown.length > 0) {
    throw new PupilError(
      'bad-data',
      `${path}: ${unknown.length === 1 ? 'class' : 'classes'} ${list(unknown)} not known to the model ` +
        `(${list(classes!)})${classes!.every(isMadeUp) ? '; its file names none: give them with `classNames`' : ''}`,
    );
  }
  if (names.length === 0 && !hasImage(placed)) {
    const images = strays.filter(({ problem }) => problem === undefined).length;
    throw new PupilError(
      'bad-data',
      images > 0
        ? `${path}: its ${counted(images, 'image')} ${images === 1 ? 'is' : 'are'} not in class folders; ` +
            'make one folder per class, or give a manifest path,label' +
            (classes === undefined ? ' (images without labels: `unlabelled`)' : '')
        : `${path}: no images found; make one folder per class`,
    );
  }
  const sources: Source[] = [{ name: path, placed }];
  for (const source of typeof unlabelled === 'string' ? [unlabelled] : unlabelled) {
    const { files, notes: more } = await listFiles([source], { signal, skip }).catch((error: unknown) => {
      throw errorAbout('unlabelled', error);
    });
    notes.push(...more);
    sources.push({ name: shownPlace(source), placed: unlabelledFiles(await openListed(files, hashes)) });
  }
  return assemble(path, sources, classes ?? names, { notes, damaged, hashes, skip });
}

function hasImage(placed: Iterable<Placed>): boolean {
  for (const { entry } of placed) if (entry.problem === undefined) return true;
  return false;
}

const unlabelledFiles = (entries: Iterable<Entry>): Iterable<Placed> => ({
  *[Symbol.iterator]() {
    for (const entry of entries) yield { entry, split: 'unlabelled', className: undefined };
  },
});

/** A note of classes that differ only in capitals, blanks and dashes: they may be meant as one. */
function noteOfSimilar(path: string, names: readonly string[]): string[] {
  const groups = new Map<string, string[]>();
  for (const name of names) {
    const key = name.toLowerCase().replace(/[\s_-]+/g, ' ');
    groups.set(key, [...(groups.get(key) ?? []), name]);
  }
  const alike = [...groups.values()].filter((group) => group.length > 1);
  return alike.length === 0
    ? []
    : [`${path}: classes with nearly the same name: ${list(alike.map((group) => group.join(' = ')))}; are they one?`];
}

/** Refuses what is neither a path nor an opened data set. */
export function assertData(data: unknown): asserts data is string | Dataset {
  const opened = typeof data === 'object' && data !== null && 'samples' in data && 'classes' in data;
  if (opened || (typeof data === 'string' && data.trim() !== '')) return;
  throw new PupilError(
    'usage',
    `the data is a path (a folder with one subfolder per class), or what openDataset gives, got ${shown(data)}`,
  );
}

/** The data set with images without labels beside its own. */
export async function withUnlabelled(
  dataset: Dataset,
  paths: readonly string[],
  options: ArchiveOptions = {},
): Promise<Dataset> {
  if (paths.length === 0) return dataset;
  const { samples, unreadable, notes } = await openImages(paths, options);
  const known = new Set(dataset.samples.map(({ path }) => path));
  const more = samples.filter(({ path }) => !known.has(path));
  return {
    ...withSamples(dataset, [...dataset.samples, ...more]),
    unreadable: [...dataset.unreadable, ...unreadable],
    notes: [...dataset.notes, ...notes],
  };
}

/** Opens images without labels (files, folders, archives, manifests), such as those to predict. */
export async function openImages(paths: readonly string[], options: FilesOptions = {}): Promise<Dataset> {
  const { files, notes } = await listFiles(paths, options);
  return openFiles(paths.map(shownPlace).join(' '), files, { ...options, notes });
}

/** Opens images without labels that were listed; `name` is what they are called. */
export async function openFiles(
  name: string,
  files: readonly ListedFile[],
  { notes = [], ...options }: FilesOptions & { readonly notes?: readonly string[] } = {},
): Promise<Dataset> {
  const placed = unlabelledFiles(await openListed(files, options.hashes));
  return assemble(name, [{ name, placed }], [], { notes, ...options });
}

/** A data set over images that are already in memory. Labels index `classes`, -1 for none. */
export function datasetOf(
  name: string,
  classes: readonly string[],
  images: readonly { readonly image: Image; readonly label: number; readonly split: Split; readonly path?: string }[],
): Dataset {
  const samples = images.map(({ image, label, split, path }, i): Sample => ({
    path: path ?? `${name}/${i}`,
    label,
    split,
    source: { kind: 'pixels', image },
    hash: contentHash(image.data),
    format: 'pixels',
    bytes: image.data.length,
  }));
  return { path: name, classes, samples, unreadable: [], notes: [], hash: datasetHash(classes, samples) };
}

/** The data set with other samples. */
export const withSamples = (dataset: Dataset, samples: readonly Sample[]): Dataset => ({
  ...dataset,
  samples,
  hash: datasetHash(dataset.classes, samples),
});

export { counted, list };

/** Whether a class has the name of a place: its model's file says nothing of it. */
const isMadeUp = (name: string): boolean => /^class \d+$/.test(name);

/** What may be given where there are labels. */
const labelledData =
  'a folder with one subfolder per class, a .tar of it, .parquet files, or a .csv, .tsv or .jsonl manifest';

interface Labelled extends Layout {
  readonly notes: readonly string[];
  readonly damaged?: readonly Unreadable[] | undefined;
}

async function readLabelled(path: string, { hashes, ...options }: FilesOptions): Promise<Labelled> {
  if (isParquet(path)) return alone(await readParquetImages(shardsOf(path), options));
  const tree = await readTree<FileTree>(path, labelledData, {
    folder: (folder) => scanFolder(folder, { hashes }),
    archives: (archives) => scanTars(archives, options),
  });
  const tables = parquetFilesAmong(tree?.entries ?? []).map((entry) => entry.path);
  if (tables.length > 0) return alone(await readParquetImages(tables, { ...options, whole: true }));
  if (tree !== undefined)
    return (await readListed(tree)) ?? { ...layOut(tree), notes: tree.notes ?? [], damaged: tree.damaged };
  if (isManifest(path)) return alone(await readManifest(path));
  if (/\.(tgz|tar\.(gz|bz2|xz|zst)|zip|7z|rar)$/i.test(path)) {
    throw new PupilError(
      'unsupported',
      `${path}: compressed archives are not read; unpack it, or make it a plain .tar`,
    );
  }
  throw new PupilError('bad-data', `${path}: not a data set; give ${labelledData}`);
}

/** Images that a list names, without anything beside them. */
function alone<List extends Pick<Manifest, 'placed' | 'notes'>>(images: List): List & Labelled {
  const classNames = new Set(images.placed.flatMap(({ className }) => className ?? []));
  return { ...images, classNames: [...classNames], strays: [], ignoredFolders: [] };
}

/**
 * The images of a folder with lists as Hugging Face has them: metadata.jsonl or metadata.csv in it or
 * in its folders train, val and test. Undefined where there are none, or folders of classes.
 */
async function readListed({ entries, folders, notes = [] }: FileTree): Promise<Labelled | undefined> {
  const isList = ({ name, source }: Entry): boolean =>
    /^([^/]+\/)?metadata\.(csv|jsonl)$/i.test(name) && source.kind === 'file';
  const lists: Entry[] = [];
  for (const entry of entries) if (isList(entry)) lists.push(entry);
  if (lists.length === 0) return undefined;
  const { classNames } = layOut({ entries: [...entries].filter((entry) => !isList(entry)), folders });
  if (classNames.some((name) => splitOf(name) === undefined && !/^(images?|data)$/i.test(name))) return undefined;
  const manifests = await Promise.all(
    lists.map(({ name, path }) => {
      const folder = name.includes('/') ? name.slice(0, name.indexOf('/')) : '';
      return readManifest(path, { split: splitOf(folder), name: folder });
    }),
  );
  return alone({
    placed: manifests.flatMap(({ placed }) => placed),
    notes: [...notes, ...manifests.flatMap((manifest) => manifest.notes)],
  });
}

/** The file that an entry is: a list names it from its own place, a folder from where it was given. */
const fileOf = (entry: Entry): string => resolve(pathOf(entry));

/** Images from one place, with what that is called. */
interface Source {
  readonly name: string;
  readonly placed: Iterable<Placed>;
}

function assemble(
  path: string,
  sources: readonly Source[],
  classes: readonly string[],
  { notes, damaged = [], hashes = true, skip }: FilesOptions & Pick<Labelled, 'notes' | 'damaged'>,
): Dataset {
  const index = new Map(classes.map((name, i) => [normalName(name), i]));
  const samples: Sample[] = [];
  const unreadable: Unreadable[] = [...damaged];
  const more: string[] = [];
  const seen = new Map<string, Split>(),
    again: string[] = [];
  for (const [i, { name, placed }] of sources.entries()) {
    const isLast = i === sources.length - 1,
      others: string[] = [];
    for (const { entry, split, className, ...origin } of placed) {
      // The same file given twice (as data and as --unlabelled) keeps its first role.
      const before = seen.size === 0 ? undefined : seen.get(fileOf(entry));
      if (before !== undefined) {
        if (split === 'unlabelled' && before !== 'unlabelled') again.push(entry.path);
        continue;
      }
      // A folder holds no file twice: what nothing follows need not be remembered.
      if (!(isLast && entry instanceof FileEntry)) seen.set(fileOf(entry), split);
      // What a list names is meant as an image; what lies beside some in a folder or an archive may not be.
      const isNamed = !(entry instanceof FileEntry) && entry.source.kind === 'file';
      if (!isNamed && isOtherKind(entry)) others.push(entry.path);
      else if (entry.problem !== undefined) unreadable.push({ path: entry.path, reason: entry.problem });
      else samples.push(sampleOf(entry, className === undefined ? -1 : index.get(className)!, split, origin));
    }
    if (others.length > 0) {
      const are = others.length === 1 ? 'is no image and is' : 'are no images and are';
      more.push(`${name}: ${counted(others.length, 'file')} beside the images ${are} passed over: ${list(others)}`);
    }
  }
  assertSkippable(unreadable, { skip });
  if (again.length > 0)
    more.unshift(
      `${path}: ${again.length} of the images given without labels are its own and keep their labels: ${list(again)}`,
    );
  const dataset = { path, classes, samples, unreadable, notes: [...notes, ...more] };
  if (hashes) return { ...dataset, hash: datasetHash(classes, samples) };
  let hash: string | undefined;
  return {
    ...dataset,
    get hash() {
      return (hash ??= datasetHash(classes, samples));
    },
  };
}
