/**
 * What is known of the files of a large folder, kept by size and time in the cache folder: a second opening looks at
 * no file's content. Records stand in the order of `walkFolder`, so that they are read along with it.
 */
import { createHash } from 'node:crypto';
import { closeSync, openSync, readSync, type Stats } from 'node:fs';
import { open, readdir, realpath, rename, rm, stat, utimes } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { makeFolders } from '../folders.js';
import { draftOf, isDraft } from '../drafts.js';
import { defaultCacheFolder } from './disk-cache.js';
import { walkOrder } from './file-names.js';

/** Size and times of a file, in bytes and milliseconds; they change when its content does. */
export type FileTimes = Pick<Stats, 'size' | 'mtimeMs' | 'ctimeMs'>;

export interface FileIndex {
  /**
   * The format of a file, whose hash is written to `hash` [16] (zeros where its content was not hashed), where nothing
   * has changed; else undefined. Quick where names come in the order of the walk.
   */
  find(name: string, times: FileTimes, hash: Buffer): string | undefined;
  /** How many records there are. */
  readonly count: number;
  close(): void;
}

/** Folders with fewer files are read anew each time. */
export const fewestIndexed = 2000;

const magic = 'pupil-files-1\n';
/** Bytes before the first record: the list of formats is known at the end, so it has a place of fixed length. */
const headBytes = magic.length + 1000;
/** Bytes of a record beside its name: length of the name, number of the format, hash, size and times. */
const fixed = 2 + 1 + 16 + 3 * 8;
/** A file that changed so shortly before it was read may change again within the same tick, milliseconds. */
export const tick = 2000;
/** Indexes that nobody used for so long are removed, milliseconds. */
const longest = 90 * 24 * 60 * 60_000;

const indexFile = async (root: string): Promise<string> => {
  const place = createHash('sha256')
    .update(await realpath(root))
    .digest('hex')
    .slice(0, 32);
  return join(defaultCacheFolder(), 'files', `${place}.index`);
};

const nothing: FileIndex = { find: () => undefined, count: 0, close: () => undefined };

interface Head {
  readonly formats: readonly string[];
  readonly count: number;
}

/** The index of a folder; an empty one where there is none. It is read along with `find`, a part at a time. */
export async function openFileIndex(root: string): Promise<FileIndex> {
  const path = await indexFile(root).catch(() => undefined);
  if (path === undefined) return nothing;
  let file: number | undefined;
  try {
    file = openSync(path, 'r');
    const records = new Records(file);
    const now = new Date();
    await utimes(path, now, now).catch(() => undefined);
    return indexOf(file, records);
  } catch {
    if (file !== undefined) closeSync(file);
    return nothing;
  }
}

/** The records of an index one after the other, from its file in pieces. */
class Records {
  readonly head: Head;
  #page = Buffer.alloc(2 ** 20);
  /** Where the page's first byte and the byte behind its last are in the file, and where the record is in the page. */
  #start = 0;
  #end = 0;
  #at = 0;

  /** Throws for a file that is no index. */
  constructor(readonly file: number) {
    this.#fill(headBytes);
    if (this.#page.toString('latin1', 0, magic.length) !== magic) throw new Error('no index');
    this.head = JSON.parse(this.#page.toString('utf8', magic.length, headBytes)) as Head;
    if (!Array.isArray(this.head.formats)) throw new Error('no index');
    this.#at = headBytes;
  }

  /** Whether there are `length` bytes from the record's beginning on, which then are in the page. */
  #fill(length: number): boolean {
    const left = this.#end - this.#start - this.#at;
    if (left >= length) return true;
    this.#page.copyWithin(0, this.#at, this.#at + left);
    this.#start += this.#at;
    this.#at = 0;
    let read = left;
    try {
      for (let count = 1; count > 0 && read < this.#page.length; read += count)
        count = readSync(this.file, this.#page, read, this.#page.length - read, this.#start + read);
    } catch {
      // A disk that fails here: what is not known is read again.
    }
    this.#end = this.#start + read;
    return read >= length;
  }

  rewind(): void {
    this.#start = this.#end = headBytes;
    this.#at = 0;
  }

  /** The name of the record; undefined behind the last. */
  name(): string | undefined {
    if (!this.#fill(fixed) || !this.#fill(this.#length())) return undefined;
    return this.#page.toString('utf8', this.#at + fixed, this.#at + this.#length());
  }

  #length(): number {
    return fixed + this.#page.readUInt16LE(this.#at);
  }

  next(): void {
    this.#at += this.#length();
  }

  isOf({ size, mtimeMs, ctimeMs }: FileTimes): boolean {
    const value = (place: number): number => this.#page.readDoubleLE(this.#at + place);
    return value(19) === size && value(27) === mtimeMs && value(35) === ctimeMs;
  }

  get format(): string | undefined {
    return this.head.formats[this.#page[this.#at + 2]!];
  }

  copyHash(to: Buffer): void {
    this.#page.copy(to, 0, this.#at + 3, this.#at + 19);
  }
}

function indexOf(file: number, records: Records): FileIndex {
  let last = '',
    record = records.name();
  const advance = (): void => {
    records.next();
    record = records.name();
  };
  return {
    count: records.head.count,
    find(name, times, hash) {
      if (record !== name && walkOrder(name, last) < 0) {
        records.rewind();
        record = records.name();
      }
      last = name;
      while (record !== undefined && record !== name && walkOrder(record, name) < 0) advance();
      if (record !== name || !records.isOf(times)) return undefined;
      records.copyHash(hash);
      return records.format;
    },
    close: () => closeSync(file),
  };
}

/** A record to keep. */
export interface FileRecord {
  readonly name: string;
  /** '' where the content was not hashed: kept as zeros. */
  readonly hash: string;
  readonly format: string;
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
    await makeFolders(dirname(file));
    draft = draftOf(file);
    const handle = await open(draft, 'w');
    try {
      let page = Buffer.alloc(2 ** 20),
        used = 0,
        kept = 0,
        position = headBytes;
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
        page.fill(0, used + 3, used + 19).write(hash, used + 3, 'hex');
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
