/** Reads the files of a folder: what they are, and the hash of their content. */
import { statSync, type Stats } from 'node:fs';
import { stat } from 'node:fs/promises';
import { performance } from 'node:perf_hooks';
import { setImmediate } from 'node:timers/promises';
import { fewestIndexed, openFileIndex, writeFileIndex, type FileRecord, type FileTimes } from './file-index.js';
import { walkOrder, type FileNames } from './file-names.js';
import { FileTable } from './file-table.js';
import { readEntry, readEntryHere } from './read-entry.js';
import { inParallel, lanes, unusable, walkFolder, type Entry, type FileTree, type ScanOptions } from './scan.js';

/** Files that this thread looks at between two chances for others. */
const together = 100;
/** Milliseconds of one for which this thread waits for its size and times, and for its content. */
const slowest = { stat: 0.3, read: 0.15 } as const;

/** A tree that was found in a folder. */
export interface FolderScan extends FileTree {
  readonly entries: FileTable;
}

/** Every file below `root`: what `walkFolder` finds, read. */
export async function scanFolder(root: string, { inside, ...options }: ScanOptions = {}): Promise<FolderScan> {
  const { files, folders, notes } = await walkFolder(root, { inside });
  return { entries: await readFiles(files, options), folders, notes };
}

export interface ReadOptions extends Pick<ScanOptions, 'onProgress' | 'hashes'> {
  /** Indexes of those that are wanted; default: all files of the folder. */
  readonly rows?: readonly number[] | undefined;
}

/**
 * What files are, in their order. Of many files what was known before and has the same size and times is not read
 * again.
 */
export async function readFiles(names: FileNames, options: ReadOptions = {}): Promise<FileTable> {
  const { rows, hashes = true, onProgress } = options;
  const table = new FileTable(names, rows);
  const { length } = table;
  const pathAt = (i: number): string | undefined =>
    names.problemAt(table.row(i)) === undefined ? table.pathAt(i) : undefined;
  const isLarge = length >= fewestIndexed;
  const started = Date.now();
  const times = isLarge ? await timesOf(length, pathAt) : undefined;
  const { missing, kept } = times ? await fillKnown(table, times, hashes) : { missing: allOf(length), kept: 0 };
  const done = length - missing.length;
  if (isLarge) onProgress?.(done, length);
  await readMissing(table, missing, { hashes, onProgress: (read) => onProgress?.(done + read, length) });
  if (times === undefined) return table;
  const images = length - table.problems;
  const isNew = missing.some((i) => table.problemAt(i) === undefined);
  // A part of a folder takes nothing from what is kept of the whole.
  if (rows === undefined ? isNew || images !== kept : isNew && images >= kept)
    await writeFileIndex(names.root, recordsOf(table, times), started);
  return table;
}

/** Reads the files with these indexes. */
async function readMissing(
  table: FileTable,
  missing: readonly number[],
  { hashes, onProgress }: { readonly hashes: boolean; readonly onProgress: (done: number) => void },
): Promise<void> {
  let done = 0;
  const enter = (i: number, entry: Entry): void => {
    table.put(i, entry);
    onProgress(++done);
  };
  const later: number[] = [];
  const here = await whileQuick(missing.length, slowest.read, (k) => {
    const i = missing[k]!;
    const { name, path, problem } = table.names.at(table.row(i));
    const entry = problem === undefined ? readEntryHere(name, path, hashes) : unusable(name, path, problem);
    if (entry === undefined) later.push(i);
    else enter(i, entry);
  });
  for (let k = here; k < missing.length; k++) later.push(missing[k]!);
  await inParallel(later, lanes, async (i) => {
    const { name, path, problem } = table.names.at(table.row(i));
    enter(i, problem === undefined ? await readEntry(name, path, hashes) : unusable(name, path, problem));
  });
}

/**
 * Does `work` for 0 to `count` on this thread, which takes a fraction of what the thread pool does, unless the disk
 * lets it wait for more than `slowest` milliseconds each, as a share of the network. Gives how many were done.
 */
async function whileQuick(count: number, slowest: number, work: (index: number) => void): Promise<number> {
  let next = 0,
    taken = 0;
  // A break now and then, as that of a collection of garbage, is no slow disk.
  for (const spare = 10 * together * slowest; next < count && taken <= spare + slowest * next; await setImmediate()) {
    const started = performance.now();
    for (const end = Math.min(count, next + together); next < end; next++) work(next);
    taken += performance.now() - started;
  }
  return next;
}

const allOf = (length: number): number[] => Array.from({ length }, (_, i) => i);

/** Enters what is kept of files that have not changed; gives the others, and of how many something is kept. */
async function fillKnown(
  table: FileTable,
  times: AllTimes,
  hashes: boolean,
): Promise<{ missing: number[]; kept: number }> {
  const index = await openFileIndex(table.names.root);
  const missing: number[] = [];
  try {
    for (const i of inOrder(table)) {
      const own = times.at(i);
      const format = own && index.find(table.nameAt(i), own, table.hashOf(i));
      if (format === undefined || (hashes && !table.isHashed(i))) missing.push(i);
      else table.enter(i, format, own!.size);
    }
  } finally {
    index.close();
  }
  return { missing: missing.sort((a, b) => a - b), kept: index.count };
}

/** Indexes in the order of `walkOrder`. */
function* inOrder(table: FileTable): Generator<number> {
  const { names, length } = table;
  if (names.inOrder) for (let i = 0; i < length; i++) yield i;
  // Behind links there may be a folder whose name comes before others.
  else yield* allOf(length).sort((a, b) => walkOrder(table.nameAt(a), table.nameAt(b)));
}

function* recordsOf(table: FileTable, times: AllTimes): Generator<FileRecord> {
  for (const i of inOrder(table)) {
    const own = times.at(i);
    // One whose size is another than before it was read changed meanwhile.
    if (table.problemAt(i) === undefined && own?.size === table.bytesAt(i))
      yield {
        name: table.nameAt(i),
        hash: table.isHashed(i) ? table.hashAt(i) : '',
        format: table.formatAt(i),
        times: own,
      };
  }
}

/** Sizes and times of many files. */
interface AllTimes {
  /** Undefined where there is no file. */
  at(index: number): FileTimes | undefined;
}

/** Of so many files by their paths, undefined for what is none. None is opened. */
export async function timesOf(length: number, pathAt: (index: number) => string | undefined): Promise<AllTimes> {
  const all = new Float64Array(3 * length).fill(NaN);
  const put = (index: number, info: Stats | undefined): void => {
    if (!info?.isFile()) return;
    all[3 * index] = info.size;
    all[3 * index + 1] = info.mtimeMs;
    all[3 * index + 2] = info.ctimeMs;
  };
  const next = await whileQuick(length, slowest.stat, (i) => {
    const path = pathAt(i);
    if (path !== undefined) put(i, statOf(path));
  });
  const rest = Array.from({ length: length - next }, (_, i) => next + i);
  await inParallel(rest, lanes, async (i) => {
    const path = pathAt(i);
    if (path !== undefined) put(i, await stat(path).catch(() => undefined));
  });
  return {
    at(index) {
      const size = all[3 * index]!;
      return Number.isNaN(size) ? undefined : { size, mtimeMs: all[3 * index + 1]!, ctimeMs: all[3 * index + 2]! };
    },
  };
}

function statOf(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}
