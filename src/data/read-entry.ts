/** Reads files: what they are by their first bytes, and the hash of their content. */
import { closeSync, constants, fstatSync, openSync, readFileSync, readSync, type Stats } from 'node:fs';
import { open } from 'node:fs/promises';
import { imageFormat } from '../image/format.js';
import type { Found } from './file-names.js';
import { contentHash, hashContent, reasonOf } from './read.js';
import { notAFile, sizeProblem, unusable, type Entry } from './scan.js';

/** A pipe that nobody writes to would be waited for without end. */
const flags = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);
/** Bytes that say what a file is; what is no image is not worth reading. */
const signature = 64;
/** Larger files are read in pieces. */
const large = 2 ** 21;
/** Where the beginning of a file is read to that is hashed: most of what is smaller is read at once. */
const page = Buffer.alloc(2 ** 16);

/** Reads a file as an entry; one that cannot be read is an entry with a problem. */
export async function readEntry(name: string, path: string, isHashed = true): Promise<Entry> {
  try {
    const file = await open(path, flags);
    try {
      const info = await file.stat();
      const head = new Uint8Array(signature);
      const read = info.isFile() ? (await file.read(head, 0, signature, 0)).bytesRead : 0;
      const entry = entryOf(name, path, info, head.subarray(0, read));
      if (entry.problem !== undefined || !isHashed) return entry;
      if (info.size <= large) return withContent(entry, await file.readFile());
      const stream = file.createReadStream({ autoClose: false, start: 0, highWaterMark: 2 ** 18 });
      return { ...entry, hash: await hashContent(stream) };
    } finally {
      await file.close();
    }
  } catch (error) {
    return unread(name, path, error);
  }
}

/**
 * `readEntry` on this thread, which takes a fifth of the time where the disk does not let it wait; undefined for an
 * image that is large.
 */
export function readEntryHere(name: string, path: string, isHashed = true): Entry | undefined {
  try {
    const file = openSync(path, flags);
    try {
      const info = fstatSync(file);
      const read = info.isFile() ? readSync(file, page, 0, isHashed ? page.length : signature, 0) : 0;
      const entry = entryOf(name, path, info, page.subarray(0, Math.min(read, signature)));
      if (entry.problem !== undefined || !isHashed) return entry;
      if (info.size > large) return undefined;
      return withContent(entry, read < page.length ? page.subarray(0, read) : readFileSync(file));
    } finally {
      closeSync(file);
    }
  } catch (error) {
    return unread(name, path, error);
  }
}

/** A file that was found, read. */
export const readFound = async ({ name, path, problem }: Found): Promise<Entry> =>
  problem === undefined ? readEntry(name, path) : unusable(name, path, problem);

/** What the first bytes of a file say; its content is not hashed yet. */
function entryOf(name: string, path: string, info: Stats, head: Uint8Array): Entry {
  if (info.isDirectory()) return unusable(name, path, 'cannot be read (it is a folder)');
  if (!info.isFile()) return unusable(name, path, notAFile);
  const format = imageFormat(head);
  const problem = format.readable ? sizeProblem(info.size) : format.problem;
  return { name, path, source: { kind: 'file', path }, hash: '', format: format.name, bytes: info.size, problem };
}

const withContent = (entry: Entry, bytes: Uint8Array): Entry => ({
  ...entry,
  bytes: bytes.length,
  hash: contentHash(bytes),
});

function unread(name: string, path: string, error: unknown): Entry {
  const problem = name.includes('\ufffd') ? 'its name is not valid UTF-8; rename it' : undefined;
  return unusable(name, path, problem ?? `cannot be read (${reasonOf(error)})`);
}
