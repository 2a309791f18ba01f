/**
 * Decoded images in files: 8 bytes of width and height (little endian), the SHA-1 of all else, then RGB. Files can be
 * lost or damaged at any time.
 */
import { createHash } from 'node:crypto';
import { closeSync, fstatSync, futimesSync, openSync, readSync } from 'node:fs';
import { open, readdir, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { makeFolders } from '../folders.js';
import { draftOf, isDraft, sweepDrafts } from '../drafts.js';
import { allocate } from '../image/buffers.js';
import type { Image } from '../image/image.js';

/**
 * The user's folder for files that can be made again, by the custom of the system (`PUPIL_CACHE`
 * overrides it).
 */
export function defaultCacheFolder(
  environment: NodeJS.ProcessEnv = process.env,
  platform: NodeJS.Platform = process.platform,
): string {
  if (environment.PUPIL_CACHE) return environment.PUPIL_CACHE;
  if (platform === 'win32' && environment.LOCALAPPDATA) return join(environment.LOCALAPPDATA, 'pupil', 'cache');
  if (platform === 'darwin') return join(homedir(), 'Library', 'Caches', 'pupil');
  return join(environment.XDG_CACHE_HOME || join(homedir(), '.cache'), 'pupil');
}

/** Milliseconds in which a file counts as just used without being told so. */
const fresh = 60_000;

function touch(handle: number): void {
  const now = new Date();
  try {
    futimesSync(handle, now, now);
  } catch {
    // not ours to touch: it will be made again earlier than others
  }
}

/** The number is that of the format; it changes, too, where a file is decoded otherwise. */
export const decodedFolder = 'decoded-3';
const root = (folder: string): string => join(folder, decodedFolder);

/** Bytes before the checksum, and before the pixels. */
const sizes = 8,
  header = sizes + 20;

/** The checksum of an image of this size, which the first bytes say. */
const checksum = (start: Uint8Array, pixels: Uint8Array): Buffer =>
  createHash('sha1').update(start.subarray(0, sizes)).update(pixels).digest();

/** The file for content `hash` at target `key`. */
export const cachedFile = (folder: string, hash: string, key: string): string =>
  join(root(folder), hash.slice(0, 2), `${hash}-${key}.rgb`);

/**
 * The image in a cache file, in a buffer to be released; undefined when there is none or it is not
 * whole. The file counts as just used (`pruneCache`). Blocks its thread, a worker's.
 */
export function readCached(file: string): Image | undefined {
  let handle: number | undefined;
  try {
    handle = openSync(file, 'r');
    const { size, mtimeMs } = fstatSync(handle);
    const start = Buffer.alloc(header);
    if (readSync(handle, start, 0, header, null) < header) return undefined;
    const width = start.readUInt32LE(0),
      height = start.readUInt32LE(4);
    if (size !== header + width * height * 3) return undefined;
    const data = allocate(size - header);
    for (let done = 0; done < data.length;) {
      const count = readSync(handle, data, done, data.length - done, null);
      if (count === 0) return undefined;
      done += count;
    }
    if (!start.subarray(sizes).equals(checksum(start, data))) return undefined;
    if (Date.now() - mtimeMs > fresh) touch(handle);
    return { width, height, data };
  } catch {
    return undefined;
  } finally {
    if (handle !== undefined) closeSync(handle);
  }
}

/**
 * Writes a cache file whole or not at all; false when the disk does not take it (full, read-only).
 */
export async function writeCached(file: string, { width, height, data }: Image): Promise<boolean> {
  const temporary = draftOf(file);
  try {
    await makeFolders(dirname(file));
    const start = Buffer.alloc(header);
    start.writeUInt32LE(width, 0);
    start.writeUInt32LE(height, 4);
    checksum(start, data).copy(start, sizes);
    await writeFile(temporary, start);
    const handle = await open(temporary, 'a');
    try {
      for (let done = 0; done < data.length;) done += (await handle.write(data, done)).bytesWritten;
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
    return true;
  } catch {
    await rm(temporary, { force: true }).catch(() => undefined);
    return false;
  }
}

/**
 * Removes what killed processes left, and the images that were used longest ago until the cache holds
 * at most `limit` bytes; touches those in `keep`.
 */
export const pruneCache = (folder: string, limit: number, keep?: ReadonlySet<string>): Promise<void> =>
  removeOldest(root(folder), limit, '.rgb', keep);

/** A file counts as just used (`removeOldest`). */
export async function markUsed(file: string): Promise<void> {
  const now = new Date();
  const used = (await stat(file).catch(() => undefined))?.mtimeMs ?? Infinity;
  if (now.getTime() - used > fresh) await utimes(file, now, now).catch(() => undefined);
}

/** The same for the files below a folder whose names end so. */
export async function removeOldest(
  folder: string,
  limit: number,
  ending: string,
  keep: ReadonlySet<string> = new Set(),
): Promise<void> {
  await sweepDrafts(folder, { deep: true });
  const names = await readdir(folder, { recursive: true }).catch(() => [] as string[]);
  const files: { file: string; size: number; time: number }[] = [];
  const now = new Date();
  for (const name of names) {
    if (!name.endsWith(ending) || isDraft(basename(name))) continue;
    const file = join(folder, name);
    const info = await stat(file).catch(() => undefined);
    if (info === undefined) continue;
    if (keep.has(file)) await utimes(file, now, now).catch(() => undefined);
    files.push({ file, size: info.size, time: keep.has(file) ? now.getTime() : info.mtimeMs });
  }
  let total = files.reduce((sum, { size }) => sum + size, 0);
  for (const { file, size } of files.sort((a, b) => a.time - b.time)) {
    if (total <= limit) break;
    if (keep.has(file)) continue;
    await rm(file, { force: true }).catch(() => undefined);
    total -= size;
  }
}
