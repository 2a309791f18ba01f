/**
 * Archives of hosts, and pieces of other files, in files of the cache folder up to a limit in bytes. What this process
 * reads is never removed: what finds no room beside that is not kept, and read from its host again.
 */
import type { Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, readdir, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { makeFolders } from '../../folders.js';
import { abandonedDrafts, draftOf, isDraft } from '../../drafts.js';
import { PupilError } from '../../errors.js';
import { readRemote, type RemoteFile, type RemoteOptions } from '../../http/remote-file.js';
import { defaultCacheFolder } from '../disk-cache.js';
import { startHash, type Checksum } from './checksums.js';

export interface ShardCache {
  readonly folder: string;
  /** Bytes. */
  readonly limit: number;
}

const usualLimit = 20e9;
const units: Readonly<Record<string, number>> = { '': 1, 'K': 1e3, 'M': 1e6, 'G': 1e9, 'T': 1e12 };

/** The folder `shards` of the cache, and PUPIL_SHARD_CACHE (such as 200GB; default 20GB). Throws `usage`. */
export function defaultShardCache(environment: NodeJS.ProcessEnv = process.env): ShardCache {
  const text = environment['PUPIL_SHARD_CACHE']?.trim();
  const match = /^(\d+(?:\.\d+)?)\s*([KMGT]?)i?B?$/i.exec(text ?? '');
  if (text && match === null)
    throw new PupilError('usage', `PUPIL_SHARD_CACHE=${text}: give bytes, such as 200GB, 500MB or 0`);
  const limit = match === null ? usualLimit : Math.round(Number(match[1]) * units[match[2]!.toUpperCase()]!);
  return { folder: join(defaultCacheFolder(environment), 'shards'), limit };
}

/** Bytes of the files that this process reads or writes, by path. */
const claimed = new Map<string, number>();

/** An archive that was kept before; undefined where there is none of that size. */
export async function findShard(path: string, size: number): Promise<string | undefined> {
  const info = await stat(path).catch(() => undefined);
  if (info?.size !== size) return undefined;
  claimed.set(path, size);
  const now = new Date();
  await utimes(path, now, now).catch(() => undefined);
  return path;
}

/**
 * An archive in a file of its own: one that is there, or fetched now. Undefined where there is no room for it. A
 * download that was cut short goes on where it ended. Throws `bad-data` where its checksum is another, `network`,
 * `not-found` or `interrupted`.
 */
export async function keepShard(
  path: string,
  file: RemoteFile & { readonly size: number },
  limit: number,
  checksum: Checksum | undefined,
  options: RemoteOptions,
): Promise<string | undefined> {
  const found = await findShard(path, file.size);
  if (found !== undefined) return found;
  if (!(await claim(path, file.size, limit))) return undefined;
  for (let isAgain = false; ; isAgain = true) {
    const digest = await download(path, file, checksum, options);
    if (digest === 'disk') {
      claimed.delete(path);
      return undefined;
    }
    if (digest === undefined || digest === checksum!.digest) return path;
    // Damaged on its way, or what was there of it: once more, from its first byte.
    if (isAgain) throw wrongChecksum(file, checksum!, digest);
  }
}

/** Keeps bytes of a file in one of their own: where there is room, and the disk takes them. */
export async function keepBytes(path: string, bytes: Uint8Array, limit: number): Promise<void> {
  if (!(await claim(path, bytes.length, limit))) return;
  const draft = draftOf(path);
  try {
    await makeFolders(dirname(path));
    await writeFile(draft, bytes);
    await rename(draft, path);
  } catch {
    claimed.delete(path);
    await rm(draft, { force: true }).catch(() => undefined);
  }
}

export const wrongChecksum = ({ shown }: RemoteFile, { digest, statedBy }: Checksum, found: string): PupilError =>
  new PupilError(
    'bad-data',
    `${shown}: its checksum is ${found}, but ${statedBy} states ${digest}; the archive is damaged on its host`,
  );

/**
 * Makes room for a file of so many bytes and claims it; false where those that this process has claimed leave too
 * little.
 */
async function claim(path: string, bytes: number, limit: number): Promise<boolean> {
  const folder = dirname(path);
  const own = [...claimed].filter(([other]) => dirname(other) === folder && other !== path);
  const taken = own.reduce((sum, [, size]) => sum + size, bytes);
  if (taken > limit) return false;
  claimed.set(path, bytes);
  const others: { path: string; size: number; time: number }[] = [];
  for (const name of await readdir(folder).catch(() => [])) {
    const other = join(folder, name);
    const info = claimed.has(other) || isDraft(name) ? undefined : await stat(other).catch(() => undefined);
    if (info?.isFile()) others.push({ path: other, size: info.size, time: info.mtimeMs });
  }
  let total = others.reduce((sum, { size }) => sum + size, taken);
  for (const other of others.sort((a, b) => a.time - b.time)) {
    if (total <= limit) break;
    if (basename(other.path).startsWith(basename(path))) continue; // the beginning of this one
    await rm(other.path, { force: true }).catch(() => undefined);
    total -= other.size;
  }
  return true;
}

/**
 * Fetches a file to `path`: whole or not at all. Gives its digest where a checksum is stated, and 'disk' where the
 * disk does not take it. What came of it stays beside for the next try, unless its checksum is wrong.
 */
async function download(
  path: string,
  file: RemoteFile & { readonly size: number },
  checksum: Checksum | undefined,
  options: RemoteOptions,
): Promise<string | undefined> {
  const draft = draftOf(path),
    rest = `${path}.part`;
  const isOfDisk = (error: unknown): boolean => typeof (error as NodeJS.ErrnoException).syscall === 'string';
  try {
    await makeFolders(dirname(path));
    let start = await resume(path, rest, draft, file);
    const hash = checksum === undefined ? undefined : startHash(checksum);
    if (hash !== undefined && start > 0) await addTo(hash, draft);
    const handle = await open(draft, start > 0 ? 'r+' : 'w');
    try {
      for await (const chunk of readRemote(file, { start }, options)) {
        hash?.update(chunk);
        for (let done = 0; done < chunk.length;) {
          const { bytesWritten } = await handle.write(chunk, done, chunk.length - done, start);
          done += bytesWritten;
          start += bytesWritten;
        }
      }
    } finally {
      await handle.close();
    }
    const digest = hash?.digest('hex');
    if (digest !== undefined && digest !== checksum!.digest) await rm(draft, { force: true });
    else await rename(draft, path);
    return digest;
  } catch (error) {
    if (error instanceof PupilError) {
      if (file.version === undefined) await rm(draft, { force: true });
      else await rename(draft, rest).catch(() => undefined);
      throw error;
    }
    await rm(draft, { force: true }).catch(() => undefined);
    if (isOfDisk(error)) return 'disk';
    throw error;
  }
}

/** Takes what an earlier download left as the draft; gives its length. */
async function resume(path: string, rest: string, draft: string, file: RemoteFile): Promise<number> {
  // Without a version nothing tells whether it is the beginning of the same content.
  if (file.version === undefined) return 0;
  for (const left of [rest, ...(await abandonedDrafts(path))]) {
    const isOurs = await rename(left, draft).then(
      () => true,
      () => false,
    );
    if (!isOurs) continue;
    const { size } = await stat(draft);
    if (size <= file.size!) return size;
  }
  return 0;
}

async function addTo(hash: Hash, path: string): Promise<void> {
  for await (const chunk of createReadStream(path)) hash.update(chunk as Uint8Array);
}
