/**
 * What is known of the files of a large folder, kept by size and time in the cache folder: a second opening looks at
 * no file's content. Records stand in the order of `walkFolder`, so that they are read along with it.
 */
import { createHash } from 'node:crypto';
import type { Stats } from 'node:fs';
import { mkdir, open, readdir, readFile, realpath, rename, rm, stat, utimes } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { draftOf, isDraft } from '../drafts.js';
import { defaultCacheFolder } from './disk-cache.js';

/** Size and times of a file, in bytes and milliseconds; they change when its content does. */
export type FileTimes = Pick<Stats, 'size' | 'mtimeMs' | 'ctimeMs'>;

/** What is kept of an image's file. */
export interface KnownFile {
  readonly hash: string;
  readonly format: string;
}

export interface FileIndex {
  /** What was kept of a file, unless it has changed. Quick where names come in the order of the walk. */
  find(name: string, times: FileTimes): KnownFile | undefined;
  /** How many records there are. */
  readonly count: number;
}

/** Folders with fewer files are read anew each time. */
export const fewestIndexed = 2000;

const magic = 'pupil-files-1\n';
/** Bytes of a record beside its name: length of the name, number of the format, hash, size and times. */
const fixed = 2 + 1 + 16 + 3 * 8;
/** A file that changed so shortly before it was read may change again within the same tick, milliseconds. */
const tick = 2000;
/** Indexes that nobody used for so long are removed, milliseconds. */
const longest = 90 * 24 * 60 * 60_000;

/** The order of a walk: folder by folder, in each by name. */
const walkKey = (name: string): string => name.replaceAll('/', '\0');

const indexFile = async (root: string): Promise<string> => {
  const place = createHash('sha256')
    .update(await realpath(root))
    .digest('hex')
    .slice(0, 32);
  return join(defaultCacheFolder(), 'files', `${place}.index`);
};

const nothing: FileIndex = { find: () => undefined, count: 0 };

function headIn(text: string): { readonly formats: readonly string[]; readonly count: number } {
  try {
    return JSON.parse(text) as { formats: string[]; count: number };
  } catch {
    return { formats: [], count: 0 };
  }
}

/** The index of a folder; an empty one where there is none. */
export async function openFileIndex(root: string): Promise<FileIndex> {
  const file = await indexFile(root).catch(() => undefined);
  const bytes = file === undefined ? undefined : await readFile(file).catch(() => undefined);
  const end = bytes?.indexOf('\n', magic.length) ?? -1;
  if (file === undefined || bytes === undefined || end < 0 || bytes.toString('latin1', 0, magic.length) !== magic)
    return nothing;
  const now = new Date();
  await utimes(file, now, now).catch(() => undefined);
  const { formats, count } = headIn(bytes.toString('utf8', magic.length, end));
  const start = end + 1;
  let at = start,
    last = '';
  const nameAt = (): string => bytes.toString('utf8', at + fixed, at + fixed + bytes.readUInt16LE(at));
  return {
    count,
    find(name, { size, mtimeMs, ctimeMs }) {
      const key = walkKey(name);
      if (key < last) at = start;
      last = key;
      for (; at + fixed <= bytes.length; at += fixed + bytes.readUInt16LE(at)) {
        const found = nameAt();
        if (found === name) break;
        if (walkKey(found) > key) return undefined;
      }
      if (at + fixed > bytes.length) return undefined;
      const isSame =
        bytes.readDoubleLE(at + 19) === size &&
        bytes.readDoubleLE(at + 27) === mtimeMs &&
        bytes.readDoubleLE(at + 35) === ctimeMs;
      const format = formats[bytes[at + 2]!];
      return isSame && format !== undefined ? { hash: bytes.toString('hex', at + 3, at + 19), format } : undefined;
    },
  };
}

/** A record to keep. */
export interface FileRecord extends KnownFile {
  readonly name: string;
  readonly times: FileTimes;
}

/**
 * Writes the index of a folder, whole or not at all, in the order of its walk; where the disk does not take it, files
 * are read again next time. `read`: when the first of them was looked at, in milliseconds since 1970.
 */
export async function writeFileIndex(root: string, records: Iterable<FileRecord>, read: number): Promise<void> {
  const formats: string[] = [];
  let draft: string | undefined;
  try {
    const file = await indexFile(root);
    await mkdir(dirname(file), { recursive: true });
    draft = draftOf(file);
    const handle = await open(draft, 'w');
    try {
      // The list of formats is known at the end: it has a place of fixed length at the beginning.
      const head = magic.length + 1000;
      let page = Buffer.alloc(2 ** 20),
        used = 0,
        kept = 0,
        position = head;
      const flush = async (): Promise<void> => {
        await handle.write(page, 0, used, position);
        position += used;
        used = 0;
      };
      for (const { name, hash, format, times } of records) {
        if (Math.max(times.mtimeMs, times.ctimeMs) > read - tick) continue;
        if (!formats.includes(format)) formats.push(format);
        const length = Buffer.byteLength(name);
        if (length > 0xffff) continue;
        if (used + fixed + length > page.length) await flush();
        page.writeUInt16LE(length, used);
        page[used + 2] = formats.indexOf(format);
        page.write(hash, used + 3, 'hex');
        page.writeDoubleLE(times.size, used + 19);
        page.writeDoubleLE(times.mtimeMs, used + 27);
        page.writeDoubleLE(times.ctimeMs, used + 35);
        page.write(name, used + fixed, 'utf8');
        used += fixed + length;
        kept++;
      }
      await flush();
      page = Buffer.from(`${magic}${JSON.stringify({ formats, count: kept }).padEnd(999)}\n`);
      await handle.write(page, 0, page.length, 0);
    } finally {
      await handle.close();
    }
    await rename(draft, file);
    await removeOld(dirname(file));
  } catch {
    if (draft !== undefined) await rm(draft, { force: true }).catch(() => undefined);
  }
}

async function removeOld(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    const path = join(folder, name);
    const used = isDraft(name) ? undefined : await stat(path).catch(() => undefined);
    if (used !== undefined && Date.now() - used.mtimeMs > longest) await rm(path, { force: true });
  }
}
