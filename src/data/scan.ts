import { constants } from 'node:fs';
import { open, readdir, readFile, realpath, stat, type FileHandle } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { PupilError } from '../errors.js';
import { imageFormat } from '../image/format.js';
import { contentHash, hashContent, reasonOf } from './read.js';
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
export interface Scan {
  readonly entries: readonly Entry[];
  readonly folders: readonly string[];
  /** What is odd but does no harm, one line each. */
  readonly notes?: readonly string[] | undefined;
  /** Archives that end in damage, of which only what is before it is here. */
  readonly damaged?: readonly Unreadable[] | undefined;
}

/** Files that systems and tools leave in folders, and that nobody means as data. */
export const isJunk = (name: string): boolean => {
  const last = name.slice(name.lastIndexOf('/') + 1);
  return (
    last.startsWith('.') ||
    /^((eh)?thumbs\.db|desktop\.ini|picasa\.ini|__macosx|@eadir|\$recycle\.bin|icon\r)$/i.test(last)
  );
};

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

/** Reads a file as an entry; one that cannot be read is an entry with a problem. */
export async function readEntry(name: string, path: string): Promise<Entry> {
  try {
    // A pipe that nobody writes to would be waited for without end.
    const file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    try {
      return await describeFile(file, name, path);
    } finally {
      await file.close();
    }
  } catch (error) {
    const problem = name.includes('\ufffd') ? 'its name is not valid UTF-8; rename it' : undefined;
    return unusable(name, path, problem ?? `cannot be read (${reasonOf(error)})`);
  }
}

async function describeFile(file: FileHandle, name: string, path: string): Promise<Entry> {
  const info = await file.stat();
  if (info.isDirectory()) return unusable(name, path, 'cannot be read (it is a folder)');
  if (!info.isFile()) return unusable(name, path, notAFile);
  // Look at the signature first: what is no image is not worth reading.
  const head = new Uint8Array(64);
  const { bytesRead } = await file.read(head, 0, head.length, 0);
  const format = imageFormat(head.subarray(0, bytesRead));
  const problem = format.readable ? sizeProblem(info.size) : format.problem;
  const entry = { name, path, source: { kind: 'file', path }, format: format.name, bytes: info.size } as const;
  if (problem !== undefined) return { ...entry, hash: '', problem };
  // Sixteen files are read at a time.
  if (info.size > 2 ** 21)
    return {
      ...entry,
      hash: await hashContent(file.createReadStream({ autoClose: false, start: 0, highWaterMark: 2 ** 18 })),
    };
  const bytes = await file.readFile();
  return { ...entry, bytes: bytes.length, hash: contentHash(bytes) };
}

const notAFile = 'a pipe, socket or device, not a file';

/** A file by its name, which was not looked into. */
export interface Found {
  /** Below the root, parts joined by '/'. */
  readonly name: string;
  readonly path: string;
  /** The folder that was walked. */
  readonly root?: string | undefined;
  /** Why it cannot be used, where that is known already. */
  readonly problem?: string | undefined;
}

/** The files and folders below a root, by their names alone. */
export interface Walk {
  readonly files: readonly Found[];
  readonly folders: readonly string[];
  readonly notes: readonly string[];
}

export interface ScanOptions {
  /** Links that lead out of the folder are not followed. */
  readonly inside?: boolean | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** Whether a path leads, past all links, to a place in the folder `root`. */
export async function isBelow(root: string, path: string): Promise<boolean> {
  const [real, top] = await Promise.all([realpath(path).catch(() => ''), realpath(root)]);
  return real.startsWith(top.endsWith(sep) ? top : top + sep);
}

/** Files that are read at a time. */
export const lanes = 16;

/** A file that was found, read. */
export const readFound = async ({ name, path, problem }: Found): Promise<Entry> =>
  problem === undefined ? readEntry(name, path) : unusable(name, path, problem);

/**
 * Every file below `root`, in an order that depends on names alone. Hidden files are passed over. Links
 * are followed; a folder that several links lead to is read once, so that links among folders cannot
 * multiply them.
 */
export async function walkFolder(root: string, { inside = false }: Pick<ScanOptions, 'inside'> = {}): Promise<Walk> {
  const files: Found[] = [];
  const folders: string[] = [];
  const seen = new Set<string>(),
    links: { path: string; name: string }[] = [],
    repeated: string[] = [],
    runs: string[] = [];
  const visit = async (folder: string, name: string): Promise<void> => {
    const children = (await readdir(folder, { withFileTypes: true })).sort((a, b) => (a.name < b.name ? -1 : 1));
    seen.add(await realpath(folder));
    if (name !== '' && children.some((child) => child.name === 'run.json') && (await isRun(join(folder, 'run.json')))) {
      runs.push(name);
      return;
    }
    if (name !== '') folders.push(name);
    for (const child of children) {
      if (isJunk(child.name)) continue;
      const path = join(folder, child.name);
      const childName = name === '' ? child.name : `${name}/${child.name}`;
      if (inside && child.isSymbolicLink() && !(await isBelow(root, path))) {
        files.push({ name: childName, path, problem: 'a link to a place outside the folder, which is not followed' });
        continue;
      }
      const info = child.isSymbolicLink() ? await stat(path).catch(() => undefined) : child;
      if (info?.isDirectory() !== true)
        files.push({
          name: childName,
          path,
          root,
          problem: info === undefined || info.isFile() ? undefined : notAFile,
        });
      else if (child.isSymbolicLink()) links.push({ path, name: childName });
      else await visitInner(path, childName);
    }
  };
  const visitInner = (path: string, name: string): Promise<void> =>
    visit(path, name).catch((error: unknown) => {
      // It may be a class: its images are missed.
      folders.push(name);
      files.push({ name: `${name}/`, path, problem: `the folder cannot be read (${reasonOf(error)})` });
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
    else await visitInner(link.path, link.name);
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
function withoutFoldersOf(
  runs: readonly string[],
  folders: readonly string[],
  files: readonly Found[],
): readonly string[] {
  if (runs.length === 0) return folders;
  const isIn = (name: string, folder: string): boolean => name.startsWith(`${folder}/`);
  return folders.filter(
    (folder) => !runs.some((run) => isIn(run, folder)) || files.some(({ name }) => isIn(name, folder)),
  );
}
