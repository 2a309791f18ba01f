import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import {
  link,
  mkdir,
  open,
  readFile,
  readlink,
  realpath,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, dirname, join, relative, sep } from 'node:path';
import { PupilError } from '../errors.js';

/**
 * The local cache, laid out as the hub's own clients lay it out, so that files are shared with
 * them: `models--owner--repo/blobs/HASH` holds contents, `snapshots/COMMIT/PATH` links to them,
 * `refs/main` names a commit.
 */

/** A file of a repository: its size in bytes and its content's hash. */
export interface RemoteFile {
  readonly path: string;
  readonly size: number;
  /** SHA-256 of a large file's content (64 hex digits), or git's object id (SHA-1, 40 digits). */
  readonly hash: string;
}

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
 * Whether a cached file still is what its blob's name says; a file that is no link to a blob cannot
 * be checked and passes.
 */
export async function isIntact(path: string): Promise<boolean> {
  const target = await realpath(path).catch(() => undefined);
  if (target === undefined) return false;
  const hash = basename(target);
  if (!/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(hash)) return true;
  return hasContent(target, { path, size: (await stat(target)).size, hash });
}

/**
 * Writes a stream to `blobs/HASH`: into a file of another name first, which is removed unless size
 * and hash are right. Throws `network` when they are not, `io` when it cannot be written.
 */
export async function storeBlob(
  folder: string,
  file: RemoteFile,
  stream: ReadableStream<Uint8Array>,
  what: string,
  received: (bytes: number) => void,
): Promise<void> {
  const blob = join(folder, 'blobs', file.hash);
  const partial = `${blob}.${process.pid}.incomplete`;
  await writing(partial, () => mkdir(dirname(blob), { recursive: true }));
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
  const target = relative(dirname(path), blob).split(sep).join('/');
  if ((await readlink(path).catch(() => undefined)) === target) return path;
  await writing(path, async () => {
    await mkdir(dirname(path), { recursive: true });
    await rm(path, { force: true });
    await symlink(target, path).catch(() => link(blob, path));
  });
  return path;
}

/** Remembers which commit a branch or tag stands for. */
export async function writeReference(folder: string, revision: string, commit: string): Promise<void> {
  const path = join(folder, 'refs', ...revision.split('/'));
  await writing(path, async () => {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(`${path}.${process.pid}`, commit);
    await rename(`${path}.${process.pid}`, path);
  });
}

/** The commit that a branch, tag or commit stood for when it was last seen. */
export async function readReference(folder: string, revision: string): Promise<string | undefined> {
  if (/^[0-9a-f]{40}$/.test(revision)) return revision;
  const text = await readFile(join(folder, 'refs', ...revision.split('/')), 'utf8').catch(() => undefined);
  return text?.trim();
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
    throw new PupilError('io', `${path}: ${reason}; free space or set HF_HOME to another folder`, { cause: error });
  }
}
