import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { link, open, readFile, readlink, realpath, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, dirname, join, relative, sep } from 'node:path';
import { makeFolders } from '../folders.js';
import { draftOf, sweepDrafts } from '../drafts.js';
import { codeOfSystemError, PupilError } from '../errors.js';
import { isCommit, isHash, type RemoteFile } from './hub-client.js';
import { isLicence } from './licence.js';

/**
 * The local cache, laid out as the hub's own clients lay it out, so that files are shared with
 * them: `models--owner--repo/blobs/HASH` holds contents, `snapshots/COMMIT/PATH` links to them,
 * `refs/main` names a commit.
 */

/** Where the cache is: HF_HUB_CACHE, else HF_HOME/hub, else ~/.cache/huggingface/hub. */
export function defaultCacheDirectory(environment: NodeJS.ProcessEnv = process.env): string {
  if (environment['HF_HUB_CACHE']) return environment['HF_HUB_CACHE'];
  const home =
    environment['HF_HOME'] ?? join(environment['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'huggingface');
  return join(home, 'hub');
}

export const repositoryFolder = (cache: string, repository: string): string =>
  join(cache, `models--${repository.replaceAll('/', '--')}`);
export const snapshotPath = (folder: string, commit: string, path: string): string =>
  join(folder, 'snapshots', commit, ...path.split('/'));

function startHash(file: RemoteFile): Hash {
  // git hashes a header before the content
  return file.hash.length === 64 ? createHash('sha256') : createHash('sha1').update(`blob ${file.size}\0`);
}

/** Whether a local file has the expected content. */
export async function hasContent(path: string, file: RemoteFile): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  if (!found?.isFile() || found.size !== file.size) return false;
  const hash = startHash(file);
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest('hex') === file.hash;
}

/**
 * Whether a cached file lies in the folder of its repository and still is what its blob's name says;
 * a file that is no link to a blob cannot be checked and passes.
 */
export async function isIntact(folder: string, path: string): Promise<boolean> {
  const target = await realpath(path).catch(() => undefined);
  if (target === undefined || !isBelow(await realpath(folder), target)) return false;
  const hash = basename(target);
  if (!isHash(hash)) return true;
  return hasContent(target, { path, size: (await stat(target)).size, hash });
}

const isBelow = (folder: string, path: string): boolean => path.startsWith(folder + sep);

/**
 * Throws `bad-path` when a path leads out of a folder by links that are there already. What does not exist
 * yet is judged by the folder that it would be made in.
 */
export async function insideCache(folder: string, path: string): Promise<void> {
  const root = await realpath(folder).catch(() => undefined);
  for (let at = path; root !== undefined && at.length > folder.length; at = dirname(at)) {
    const target = await realpath(at).catch(() => undefined);
    if (target === undefined) continue;
    if (isBelow(root, target)) return;
    throw new PupilError(
      'bad-path',
      `${at}: is a link out of the cache ${folder}; remove it, or set HF_HOME to another folder`,
    );
  }
}

/** Removes what downloads that were killed left; other programs' drafts stay. */
export const sweepDownloads = (folder: string): Promise<unknown> =>
  Promise.all(['blobs', 'refs'].map((place) => sweepDrafts(join(folder, place))));

/**
 * Writes bytes to `blobs/HASH`: into a file of another name first, which is removed unless size
 * and hash are right. Throws `network` when they are not, `io` when it cannot be written.
 */
export async function storeBlob(
  folder: string,
  file: RemoteFile,
  stream: AsyncIterable<Uint8Array>,
  what: string,
  received: (bytes: number) => void,
): Promise<void> {
  const blob = join(folder, 'blobs', file.hash);
  const partial = draftOf(blob);
  await insideCache(folder, partial);
  await writing(partial, () => makeFolders(dirname(blob)));
  const handle = await writing(partial, () => open(partial, 'w'));
  try {
    const hash = startHash(file);
    let bytes = 0;
    for await (const chunk of stream) {
      hash.update(chunk);
      await writing(partial, () => handle.writeFile(chunk));
      bytes += chunk.length;
      received(bytes);
    }
    if (bytes !== file.size)
      throw new PupilError('network', `${what}: ${bytes} bytes arrived, expected ${file.size}; try again`);
    const digest = hash.digest('hex');
    if (digest !== file.hash) {
      throw new PupilError(
        'network',
        `${what}: the checksum is ${digest}, expected ${file.hash}; the download is damaged, try again`,
      );
    }
    await writing(partial, () => handle.sync());
    await handle.close();
    await writing(blob, () => rename(partial, blob));
  } catch (error) {
    await handle.close().catch(() => undefined);
    await rm(partial, { force: true });
    throw error;
  }
}

/**
 * Makes a snapshot's file point to its blob: a relative link, or a hard link where links are not
 * allowed.
 */
export async function linkSnapshot(folder: string, commit: string, file: RemoteFile): Promise<string> {
  const path = snapshotPath(folder, commit, file.path);
  const blob = join(folder, 'blobs', file.hash);
  await insideCache(folder, dirname(path));
  const target = relative(dirname(path), blob).split(sep).join('/');
  if ((await readlink(path).catch(() => undefined)) === target) return path;
  await writing(path, async () => {
    await makeFolders(dirname(path));
    await rm(path, { force: true });
    await symlink(target, path).catch(() => link(blob, path));
  });
  return path;
}

/** Remembers which commit a branch or tag stands for. */
export async function writeReference(folder: string, revision: string, commit: string): Promise<void> {
  const path = join(folder, 'refs', revision);
  await insideCache(folder, dirname(path));
  await writing(path, async () => {
    await makeFolders(dirname(path));
    const draft = draftOf(path);
    await writeFile(draft, commit);
    await rename(draft, path);
  });
}

/** Where the licence of a commit is kept: the files that are pulled do not say it. */
const licencePath = (folder: string, commit: string): string => join(folder, 'licence', commit);

/** Remembers the licence that the hub stated. */
export async function writeLicence(folder: string, commit: string, licence: string): Promise<void> {
  const path = licencePath(folder, commit);
  await insideCache(folder, path);
  await writing(path, async () => {
    await makeFolders(dirname(path));
    const draft = draftOf(path);
    await writeFile(draft, licence);
    await rename(draft, path);
  });
}

/** The licence as it was when the hub was last asked. */
export async function readLicence(folder: string, commit: string): Promise<string | undefined> {
  const path = licencePath(folder, commit);
  await insideCache(folder, path);
  const text = await readFile(path, 'utf8').catch(() => '');
  return isLicence(text) ? text : undefined;
}

/** The commit that a branch, tag or commit stood for when it was last seen. */
export async function readReference(folder: string, revision: string): Promise<string | undefined> {
  if (isCommit(revision)) return revision;
  const path = join(folder, 'refs', revision);
  await insideCache(folder, path);
  const found = await stat(path).catch(() => undefined);
  if (!found?.isFile() || found.size > 100) return undefined;
  const commit = (await readFile(path, 'utf8').catch(() => '')).trim();
  return isCommit(commit) ? commit : undefined;
}

async function writing<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (error instanceof PupilError || code === undefined) throw error;
    const reason =
      code === 'ENOSPC'
        ? 'the disk is full'
        : code === 'EACCES' || code === 'EROFS' || code === 'EPERM'
          ? 'not allowed to write there'
          : message;
    throw new PupilError(codeOfSystemError(code), `${path}: ${reason}; free space or set HF_HOME to another folder`, {
      cause: error,
    });
  }
}
