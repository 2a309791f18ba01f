/** Reads the files of a folder: what they are, and the hash of their content. */
import { statSync, type Stats } from 'node:fs';
import { stat } from 'node:fs/promises';
import { performance } from 'node:perf_hooks';
import { setImmediate } from 'node:timers/promises';
import { fewestIndexed, openFileIndex, writeFileIndex, type FileRecord, type FileTimes } from './file-index.js';
import {
  inParallel,
  lanes,
  readFound,
  walkFolder,
  type Entry,
  type Found,
  type Scan,
  type ScanOptions,
} from './scan.js';

/** Files looked at between two chances for others, and milliseconds of one that this thread waits for at most. */
const together = 1000,
  slowest = 0.3;

/** Every file below `root`, its content hashed: what `walkFolder` finds, read. */
export async function scanFolder(root: string, { inside, onProgress }: ScanOptions = {}): Promise<Scan> {
  const { files, folders, notes } = await walkFolder(root, { inside });
  return { entries: await readFiles(root, files, { whole: true, onProgress }), folders, notes };
}

export interface ReadOptions {
  /** Whether these are all files of the folder. */
  readonly whole?: boolean | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/**
 * The entries of files below `root`, in their order. Of many files what was known before and has the same size and
 * times is not read again.
 */
export async function readFiles(
  root: string,
  files: readonly Found[],
  { whole = false, onProgress }: ReadOptions = {},
): Promise<Entry[]> {
  let done = 0;
  const read = async (file: Found): Promise<Entry> => {
    const entry = await readFound(file);
    onProgress?.(++done, files.length);
    return entry;
  };
  if (files.length < fewestIndexed) return inParallel(files, lanes, read);
  const started = Date.now();
  const index = await openFileIndex(root);
  const times = await timesOf(files);
  const entries: (Entry | undefined)[] = files.map((file, i) => {
    const found = times.at(i);
    const known = found && index.find(file.name, found);
    if (known === undefined) return undefined;
    const { name, path } = file;
    return { name, path, source: { kind: 'file', path }, hash: known.hash, format: known.format, bytes: found!.size };
  });
  const missing = files.flatMap((_, i) => (entries[i] === undefined ? [i] : []));
  done = files.length - missing.length;
  onProgress?.(done, files.length);
  await inParallel(missing, lanes, async (i) => {
    entries[i] = await read(files[i]!);
  });
  const all = entries as Entry[];
  const images = all.filter(({ problem }) => problem === undefined).length;
  const isNew = missing.some((i) => all[i]!.problem === undefined);
  // A part of a folder takes nothing from what is kept of the whole.
  if (whole ? isNew || images !== index.count : isNew && images >= index.count)
    await writeFileIndex(root, recordsOf(all, times), started);
  return all;
}

function* recordsOf(entries: readonly Entry[], times: AllTimes): Generator<FileRecord> {
  for (const [i, { name, hash, format, bytes, problem }] of entries.entries()) {
    const own = times.at(i);
    // One whose size is another than before it was read changed meanwhile.
    if (problem === undefined && own?.size === bytes) yield { name, hash, format, times: own };
  }
}

/** Sizes and times of many files. */
interface AllTimes {
  /** Undefined where there is no file. */
  at(index: number): FileTimes | undefined;
}

async function timesOf(files: readonly Found[]): Promise<AllTimes> {
  const all = new Float64Array(3 * files.length).fill(NaN);
  const put = (index: number, info: Stats | undefined): void => {
    if (info?.isFile()) all.set([info.size, info.mtimeMs, info.ctimeMs], 3 * index);
  };
  let next = 0;
  // On this thread, which takes a tenth of the time, unless the disk lets it wait: a share of the network.
  for (let isQuick = true; isQuick && next < files.length; await setImmediate()) {
    const started = performance.now();
    const end = Math.min(files.length, next + together);
    const count = end - next;
    for (; next < end; next++) put(next, statOf(files[next]!.path));
    isQuick = performance.now() - started < slowest * count;
  }
  const rest = Array.from({ length: files.length - next }, (_, i) => next + i);
  await inParallel(rest, lanes, async (i) => {
    put(i, await stat(files[i]!.path).catch(() => undefined));
  });
  return {
    at(index) {
      const [size, mtimeMs, ctimeMs] = all.subarray(3 * index, 3 * index + 3);
      return Number.isNaN(size) ? undefined : { size: size!, mtimeMs: mtimeMs!, ctimeMs: ctimeMs! };
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
