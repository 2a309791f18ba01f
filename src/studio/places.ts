/**
 * Places below a folder, by the names that a page sends: no name leads out of it, to hidden files, or through
 * a link to somewhere else.
 */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFolder } from '../artifact/files.js';
import { isBelow, isJunk } from '../data/scan.js';
import { PupilError } from '../errors.js';
import { studioFolder } from './labels.js';
import { isDirectory, isImageName } from './paths.js';
import type { Places } from './protocol.js';

/** Levels of folders, bytes of a name, and folders that are listed at most. */
const most = { depth: 12, name: 200, listed: 500 } as const;

/** Names that mean something else than a file, on some system. */
const isSpecial = (name: string): boolean => /^(con|prn|aux|nul|com\d|lpt\d)(\.|$)/i.test(name);

/** The names of a path as a page sends it, '' for none. Throws `usage` for what no place below a folder can be. */
export function namesIn(path: string): string[] {
  const names = path === '' ? [] : path.normalize('NFC').split('/');
  const isName = (name: string): boolean =>
    name !== '' &&
    Buffer.byteLength(name) <= most.name &&
    !isJunk(name) &&
    !isSpecial(name) &&
    !/[\u0000-\u001f\u007f<>:"|?*\\\ufffd]|[. ]$/.test(name);
  if (names.length <= most.depth && names.every(isName)) return names;
  throw new PupilError(
    'usage',
    'a path is names of folders and files joined by /, none of them hidden or "..", ' +
      `of at most ${most.name} bytes each and ${most.depth} levels`,
  );
}

/** The folder of these names below `root`. Throws `not-found` where there is none, or a link leads out. */
export async function placeIn(root: string, names: readonly string[]): Promise<string> {
  const path = join(root, ...names);
  if (names.length === 0) return path;
  if ((await isDirectory(path)) && (await isBelow(root, path))) return path;
  throw new PupilError('not-found', `${names.join('/')}: there is no such folder here`);
}

/** The same, made where it is missing; a name at a time, so that no link is followed on the way. Throws `io`. */
export async function makePlace(root: string, names: readonly string[]): Promise<string> {
  for (let count = 1; count <= names.length; count++) {
    const path = join(root, ...names.slice(0, count));
    if ((await stat(path).catch(() => undefined)) === undefined)
      await makeFolder(path).catch(() => {
        throw new PupilError('io', `${names.slice(0, count).join('/')}: the folder cannot be made`);
      });
    await placeIn(root, names.slice(0, count));
  }
  return join(root, ...names);
}

/** What can be chosen below a folder, without what is hidden and links that lead out. */
export async function listPlaces(root: string, at: string): Promise<Pick<Places, 'at' | 'images' | 'folders'>> {
  const names = namesIn(at);
  const here = await contentsOf(root, await placeIn(root, names));
  const folders = await Promise.all(
    here.folders.slice(0, most.listed).map(async (name) => {
      const { images, folders: below } = await contentsOf(root, join(root, ...names, name));
      return { name, images, folders: below.length };
    }),
  );
  return { at: names.join('/'), images: here.images, folders };
}

interface Contents {
  /** Files that are images by name. */
  readonly images: number;
  readonly folders: readonly string[];
}

async function contentsOf(root: string, folder: string): Promise<Contents> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  const shown = entries.filter(({ name }) => !isJunk(name) && name !== 'node_modules');
  const folders: string[] = [];
  for (const entry of shown) {
    const path = join(folder, entry.name);
    if (entry.isDirectory() || (entry.isSymbolicLink() && (await isDirectory(path)) && (await isBelow(root, path))))
      folders.push(entry.name);
  }
  folders.sort((a, b) => a.localeCompare(b, 'en', { numeric: true }));
  return { images: shown.filter((entry) => !entry.isDirectory() && isImageName(entry.name)).length, folders };
}

/** Whether a folder is one of images: it was open before, or it or its own folders hold some. */
export async function holdsImages(folder: string): Promise<boolean> {
  if (await isDirectory(join(folder, studioFolder))) return true;
  const { images, folders } = await listPlaces(folder, '');
  return images > 0 || folders.some((below) => below.images > 0);
}
