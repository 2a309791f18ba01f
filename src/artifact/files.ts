import { open, rename, rm, type FileHandle } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { draftOf, sweepDrafts } from '../drafts.js';
import { codeOfSystemError, PupilError } from '../errors.js';
import { makeFolders } from '../folders.js';

/** Folders in which this process has removed what others left. */
const swept = new Set<string>();

/** Error codes of the file system that a user can mend, and what to do about each. */
const advice: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full; free some space or choose another folder',
  EDQUOT: 'the disk quota is used up; free some space or choose another folder',
  EACCES: 'no permission to write there; choose another folder',
  EPERM: 'no permission to write there; choose another folder',
  EROFS: 'the file system is read-only; choose another folder',
  ENOTDIR: 'a part of the path is a file; choose another folder',
  EISDIR: 'a folder has that name; choose another name',
  EEXIST: 'a file has that name; choose another name',
  ENOTEMPTY: 'a folder has that name by now; choose another name',
  ENAMETOOLONG: 'the name is too long; choose a shorter one',
  ENOENT: 'that folder cannot be made or was removed; choose another folder',
  EFBIG: 'the file is larger than the file system allows; choose another folder',
  EBUSY: 'another program has it open; close it there',
  EMFILE: 'too many files are open; close some programs or raise the limit',
  EIO: 'the disk reported a fault; choose another one',
  ESTALE: 'the share was lost; run again when it is back',
  ENOTCONN: 'the share was lost; run again when it is back',
  EHOSTDOWN: 'the server of the share does not answer; run again when it is back',
  ETIMEDOUT: 'the share does not answer; run again when it is back',
};

/**
 * The error to throw when writing `path` failed: `io` or `bad-path` with what to do, or the error itself
 * when it is a fault of ours.
 */
export function writeError(path: string, error: unknown): Error {
  if (error instanceof PupilError) return error;
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  const hint = code === undefined ? undefined : advice[code];
  if (hint === undefined) return error instanceof Error ? error : new Error(String(error));
  return new PupilError(codeOfSystemError(code), `cannot write ${path}: ${hint} (${code})`, { cause: error });
}

/** Creates a folder and those above it. Throws `io` or `bad-path`. */
export async function makeFolder(path: string): Promise<void> {
  try {
    await makeFolders(resolve(path));
  } catch (error) {
    throw writeError(path, error);
  }
}

/**
 * Waits until a folder's entries are on the disk (a rename is only safe then); does nothing where
 * folders cannot be synced.
 */
async function syncFolder(path: string): Promise<void> {
  try {
    const handle = await open(path, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch {
    // Windows and some network file systems refuse; the rename itself is still atomic.
  }
}

/**
 * Writes a file so that at any moment, also after a power cut, `path` holds either what it held
 * before or everything `write` wrote: a temporary file in the same folder, synced, renamed. Nothing
 * is left behind when `write` fails. The folder is created when missing. Throws `io` when the disk
 * is full or gone, `bad-path` when the path cannot be written.
 */
export function replaceFile<T>(path: string, write: (handle: FileHandle) => Promise<T>): Promise<T> {
  return replace(path, write, true);
}

/** `isSynced`: waits until all of it is on the disk, which takes most of the time of a small file. */
async function replace<T>(path: string, write: (handle: FileHandle) => Promise<T>, isSynced: boolean): Promise<T> {
  const folder = dirname(resolve(path));
  await makeFolder(folder);
  if (!swept.has(folder)) {
    swept.add(folder);
    await sweepDrafts(folder);
  }
  const draft = draftOf(path);
  try {
    const handle = await open(draft, 'wx');
    let result: T;
    try {
      result = await write(handle);
      if (isSynced) await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(draft, path);
    if (isSynced) await syncFolder(folder);
    return result;
  } catch (error) {
    await rm(draft, { force: true }).catch(() => undefined);
    throw writeError(path, error);
  }
}

/** Writes text (UTF-8) or bytes as `replaceFile` does. */
export const writeFileAtomically = (path: string, contents: string | Uint8Array): Promise<void> =>
  replaceFile(path, (handle) => handle.writeFile(contents));

/**
 * Writes what can be made again, without waiting for the disk. A program that is killed leaves it whole or not there;
 * a power cut may leave it cut or empty, so whoever reads it has to see that it is whole. Throws as `replaceFile` does.
 */
export const writeCacheFile = (path: string, bytes: Uint8Array): Promise<void> =>
  replace(path, (handle) => handle.writeFile(bytes), false);

/**
 * Makes files that belong together and were not there before: where it fails none of them is left, so that the same
 * command can be given again.
 */
export async function allOrNone<T>(files: readonly (string | undefined)[], make: () => Promise<T>): Promise<T> {
  try {
    return await make();
  } catch (error) {
    for (const file of files) if (file !== undefined) await rm(file, { force: true }).catch(() => undefined);
    throw error;
  }
}
