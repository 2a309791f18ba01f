import { stat } from 'node:fs/promises';
import { basename, resolve, sep } from 'node:path';
import { PupilError } from '../errors.js';

/**
 * Finds the number of an image from what a run calls it: `../../a/1.jpg` as in the lists of the studio, which
 * lie in `.pupil/data`, or a longer path that ends in its place in the folder.
 */
export function idFinder(paths: readonly string[]): (file: string) => number | undefined {
  const ids = new Map(paths.map((path, id) => [path, id]));
  return (file) => {
    const parts = file.split(/[/\\]/);
    for (let from = 0; from < parts.length; from++) {
      const id = ids.get(parts.slice(from).join('/'));
      if (id !== undefined) return id;
    }
    return undefined;
  };
}

/**
 * What a run in the studio says, as its page shows it: images by their paths in the folder, not in the list of the
 * run, and names without the escapes that lists of the command line have.
 */
export function asShown(text: string, run: string): string {
  const folder = resolve(run, '../../..');
  const list = new RegExp(`${escaped(folder + sep)}\\.pupil[/\\\\]data[/\\\\][\\w-]+\\.csv`, 'g');
  return text
    .replace(list, 'labels.csv')
    .replaceAll(`${folder}${sep}.pupil${sep}data${sep}`, '')
    .replace(/(^|[\s(,="'])\.\.[/\\]+\.\.[/\\]+/g, '$1')
    .replaceAll(folder + sep, '')
    .replace(/\\(["\\])/g, '$1');
}

const escaped = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');

export const isDirectory = async (path: string): Promise<boolean> =>
  (await stat(path).catch(() => undefined))?.isDirectory() === true;

/** Throws `not-found` where the open folder is gone: it is never made anew, as what is written would not be there. */
export async function requireFolder(folder: string): Promise<void> {
  if (await isDirectory(folder)) return;
  throw new PupilError('not-found', `${basename(folder)}: the folder is gone; bring it back, or open another one`);
}

export const isImageName = (name: string): boolean => /\.(jpe?g|png|gif|webp|tiff?|avif|bmp|hei[cf])$/i.test(name);
