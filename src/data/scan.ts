import type { Dirent } from 'node:fs';
import { opendir, readFile, realpath, stat } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { PupilError } from '../errors.js';
import { FileNames } from './file-names.js';
import { reasonOf } from './read.js';
import type { Source, Unreadable } from './sample.js';

/** A file found in a folder or an archive. */
export interface Entry {
  /** Below the root, parts joined by '/'. */
  readonly name: string;
  /** What users see. */
  readonly path: string;
  readonly source: Source;
  readonly hash: string;
  /** By signature; 'unknown', 'empty'... when it is no image that is read. */
  readonly format: string;
  readonly bytes: number;
  /** Why it cannot be used, if so. */
  readonly problem?: string | undefined;
}

/** All files below a root, and all folders (also the empty ones). */
export interface FileTree {
  /** In their order; those of a folder are made as they are asked for. */
  readonly entries: Iterable<Entry>;
  readonly folders: readonly string[];
  /** What is odd but does no harm, one line each. */
  readonly notes?: readonly string[] | undefined;
  /** Archives that end in damage, of which only what is before it is here. */
  readonly damaged?: readonly Unreadable[] | undefined;
}

/** A tree that was found in archives. */
export interface Scan extends FileTree {
  readonly entries: readonly Entry[];
}

/** Files that systems and tools leave in folders, and that nobody means as data. */
export const isJunk = (name: string): boolean => {
  const last = name.slice(name.lastIndexOf('/') + 1);
  return (
    last.startsWith('.') ||
    /^((eh)?thumbs\.db|desktop\.ini|picasa\.ini|__macosx|@eadir|\$recycle\.bin|icon\r)$/i.test(last)
  );
};

/** Names of what is no image: texts, tables, pages, programs, weights, documents, archives, sound and film. */
const otherKinds = new RegExp(
  String.raw`\.(txt|md|rst|log|csv|tsv|jsonl?|xml|ya?ml|toml|ini|cfg|html?|css|m?js|ts|py|ipynb|r|m|sh|bat|ps1|sql|` +
    'npy|npz|mat|pkl|pth?|h5|hdf5|onnx|safetensors|parquet|db|sqlite|lst|rec|idx|bin|pdf|docx?|odt|xlsx?|ods|pptx?|' +
    'zip|tar|t?gz|bz2|xz|zst|7z|rar|url|lnk|torrent|xmp|aae|mp[34]|m4[av]|mov|avi|mkv|webm|wav|ogg)$|' +
    '(^|/)(readme|licen[cs]e|notice|copying|makefile)$',
  'i',
);

/** Whether a file is no image by its content, nor meant as one by its name: not a photo that is damaged. */
export const isOtherKind = ({ name, format, problem }: Pick<Entry, 'name' | 'format' | 'problem'>): boolean =>
  problem !== undefined && (format === 'unknown' || format === 'empty') && otherKinds.test(name);

/** Bytes of the largest file that is read as an image. */
export const largestFile = 512 * 2 ** 20;

/** Why a file of that size is not read; undefined for others. */
export const sizeProblem = (bytes: number): string | undefined =>
  bytes > largestFile
    ? `a file of ${(bytes / 2 ** 30).toFixed(1)} GiB; images of up to ${largestFile / 2 ** 20} MiB are read`
    : undefined;

/** A file that cannot be used. */
export const unusable = (name: string, path: string, problem: string, bytes = 0): Entry => ({
  name,
  path,
  source: { kind: 'file', path },
  hash: '',
  format: 'unreadable',
  bytes,
  problem,
});

/** Runs `work` on every item, `lanes` at a time; the results keep their order. */
export async function inParallel<T, R>(
  items: readonly T[],
  lanes: number,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const results = new Array<R>(items.length);
  let next = 0;
  await Promise.all(
    Array.from({ length: Math.min(lanes, items.length) }, async () => {
      while (next < items.length) {
        const index = next++;
        results[index] = await work(items[index]!);
      }
    }),
  );
  return results;
}

export const notAFile = 'a pipe, socket or device, not a file';

/** The files and folders below a root, by their names alone. */
export interface Walk {
  readonly files: FileNames;
  readonly folders: readonly string[];
  readonly notes: readonly string[];
}

export interface ScanOptions {
  /** Links that lead out of the folder are not followed. */
  readonly inside?: boolean | undefined;
  /** False: contents are hashed when they are asked for; of a file only the beginning is read. Default true. */
  readonly hashes?: boolean | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** Whether a path leads, past all links, to a place in the folder `root`. */
export async function isBelow(root: string, path: string): Promise<boolean> {
  // The folder itself may be gone.
  const [real, top] = await Promise.all([path, root].map((one) => realpath(one).catch(() => undefined)));
  return real !== undefined && top !== undefined && real.startsWith(top.endsWith(sep) ? top : top + sep);
}

/** Files that are read at a time. */
export const lanes = 16;

/**
 * Every file below `root`, in an order that depends on names alone. Hidden files are passed over. Links
 * are followed; a folder that several links lead to is read once, so that links among folders cannot
 * multiply them.
 */
export async function walkFolder(root: string, { inside = false }: Pick<ScanOptions, 'inside'> = {}): Promise<Walk> {
  const files = new FileNames(root);
  const folders: string[] = [];
  const seen = new Set<string>(),
    links: { path: string; name: string }[] = [],
    repeated: string[] = [],
    runs: string[] = [];
  const visit = async (folder: string, name: string): Promise<void> => {
    const { names, others } = await childrenOf(folder);
    seen.add(await realpath(folder));
    if (name !== '' && names.includes('run.json') && (await isRun(join(folder, 'run.json')))) {
      runs.push(name);
      return;
    }
    if (name !== '') folders.push(name);
    const own = files.addFolder(name === '' ? '' : `${name}/`, join(folder, 'x').slice(0, -1));
    for (const base of names) {
      if (isJunk(base)) continue;
      const child = others.get(base);
      if (child === undefined) {
        files.add(own, base);
        continue;
      }
      const path = join(folder, base);
      const childName = name === '' ? base : `${name}/${base}`;
      if (inside && child.isSymbolicLink() && !(await isBelow(root, path))) {
        files.add(own, base, 'a link to a place outside the folder, which is not followed');
        continue;
      }
      const info = child.isSymbolicLink() ? await stat(path).catch(() => undefined) : child;
      if (info?.isDirectory() !== true)
        files.add(own, base, info === undefined || info.isFile() ? undefined : notAFile);
      else if (child.isSymbolicLink()) links.push({ path, name: childName });
      else await visitInner(path, childName);
    }
  };
  const visitInner = (path: string, name: string): Promise<void> =>
    visit(path, name).catch((error: unknown) => {
      // It may be a class: its images are missed.
      folders.push(name);
      const own = files.addFolder(`${name}/`, join(path, 'x').slice(0, -1));
      files.add(own, '', `the folder cannot be read (${reasonOf(error)})`);
    });
  try {
    await visit(root, '');
  } catch (error) {
    throw new PupilError('not-found', `${root}: the folder cannot be read (${reasonOf(error)})`, { cause: error });
  }
  // Links after the folders themselves: what is below the root keeps its own place.
  for (let link = links.shift(); link !== undefined; link = links.shift()) {
    const real = await realpath(link.path);
    if (seen.has(real)) repeated.push(link.name);
    else {
      files.inOrder = false;
      await visitInner(link.path, link.name);
    }
  }
  const [first] = repeated;
  const notes: string[] = [];
  if (first !== undefined)
    notes.push(
      `${root}: ${repeated.length === 1 ? 'a link leads' : `${repeated.length} links lead`} to folders that are ` +
        `read elsewhere (such as ${first}); each folder is read once`,
    );
  const own = withoutFoldersOf(runs, folders, files);
  const [run] = runs;
  if (run !== undefined)
    notes.push(`${root}: ${runs.length === 1 ? 'a run' : `${runs.length} runs`} of Pupil passed over (such as ${run})`);
  return { files, folders: own, notes };
}

interface Children {
  /** Sorted. */
  readonly names: readonly string[];
  /** What is no plain file. */
  readonly others: ReadonlyMap<string, Dirent>;
}

/** What is in a folder, of which there may be very much. */
async function childrenOf(folder: string): Promise<Children> {
  const names: string[] = [];
  const others = new Map<string, Dirent>();
  for await (const child of await opendir(folder, { bufferSize: 1024 })) {
    names.push(child.name);
    if (!child.isFile()) others.set(child.name, child);
  }
  return { names: names.sort(), others };
}

/** Whether a file is the run.json of a run: its pictures are no data. */
async function isRun(file: string): Promise<boolean> {
  try {
    const { command, versions } = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>;
    return typeof command === 'string' && typeof (versions as Record<string, unknown>)['pupil'] === 'string';
  } catch {
    return false;
  }
}

/** Folders, but for those that hold nothing but runs. */
function withoutFoldersOf(runs: readonly string[], folders: readonly string[], files: FileNames): readonly string[] {
  if (runs.length === 0) return folders;
  const isIn = (name: string, folder: string): boolean => name.startsWith(`${folder}/`);
  const filled = new Set<string>();
  for (let i = 0; i < files.length; i++) filled.add(files.folderAt(i));
  return folders.filter(
    (folder) => !runs.some((run) => isIn(run, folder)) || [...filled].some((name) => isIn(name, folder)),
  );
}
