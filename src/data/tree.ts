import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { assertPath } from '../arguments.js';
import { PupilError } from '../errors.js';
import { reasonOf } from './read.js';
import { isRemote } from '../http/address.js';
import { isJunk } from './scan.js';
import { assertNoGap, isTar, noteOfNeighbours, shardsOf } from './tar.js';

/** How a tree of files is read: in a folder, and in archives. */
export interface TreeReaders<Tree> {
  readonly folder: (path: string) => Promise<Tree>;
  readonly archives: (paths: readonly string[]) => Promise<Tree>;
}

/**
 * The tree in a folder, in the shards that a folder holds, or in archives; undefined for another file.
 * Throws `not-found`, with what is `expected` there.
 */
export async function readTree<Tree extends { readonly notes?: readonly string[] | undefined }>(
  path: string,
  expected: string,
  { folder, archives }: TreeReaders<Tree>,
): Promise<Tree | undefined> {
  assertPath(path, `the path of ${expected}`);
  if (isRemote(path)) return archives(shardsOf(path));
  if (isTar(path)) {
    const shards = shardsOf(path);
    const kinds = await Promise.all(shards.map((shard) => kindOf(shard, expected)));
    if (kinds.every((kind) => kind === 'file')) {
      const alone = shards.length === 1;
      return { ...(await archives(shards)), notes: alone ? await noteOfNeighbours(path) : [] };
    }
  }
  if ((await kindOf(path, expected)) === 'file') return undefined;
  const children = (await readdir(path, { withFileTypes: true }).catch(() => [])).filter(({ name }) => !isJunk(name));
  const tars = children
    .filter((child) => isTar(child.name) && !child.isDirectory())
    .map(({ name }) => join(path, name))
    .sort();
  if (tars.length === 0 || children.some((child) => child.isDirectory())) return folder(path);
  await Promise.all(tars.map(assertNoGap));
  return archives(tars);
}

async function kindOf(path: string, expected: string): Promise<'folder' | 'file'> {
  try {
    return (await stat(path)).isDirectory() ? 'folder' : 'file';
  } catch (error) {
    throw new PupilError('not-found', `${path}: ${reasonOf(error)}; give ${expected}`, { cause: error });
  }
}
