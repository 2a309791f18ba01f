import { realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { PupilError } from '../errors.js';

/** Throws `exists` when the file that `option` names is there already: ask before long work, not after it. */
export async function refuseExistingFile(option: string, file: string | undefined): Promise<void> {
  if (file === undefined) return;
  const found = await stat(file).catch(() => undefined);
  if (found === undefined) return;
  if (!found.isDirectory()) throw taken(option, file);
  throw new PupilError('exists', `${file} is a folder; name a file in it`, { option });
}

/**
 * Throws `usage` when the picture `file`, which `option` places, would lie in one of these folders of images: it would
 * be one of them for every command that follows. Hidden folders are not read, and what is no folder holds no files.
 */
export async function refuseAmongImages(
  option: string,
  file: string,
  folders: readonly (string | undefined)[],
): Promise<void> {
  const place = await realPlace(dirname(file));
  for (const folder of folders) {
    if (folder === undefined || !(await stat(folder).catch(() => undefined))?.isDirectory()) continue;
    const steps = relative(await realPlace(folder), place).split(sep);
    if (steps.some((step) => step.startsWith('.') || resolve(step) === step)) continue;
    throw new PupilError(
      'usage',
      `${file}: this picture would be one of the images in ${folder} from then on; choose an \`${option}\` outside ` +
        'of that folder',
      { option },
    );
  }
}

/** Where a folder is, links followed, or will be. */
async function realPlace(folder: string): Promise<string> {
  const path = resolve(folder);
  const real = await realpath(path).catch(() => undefined);
  if (real !== undefined || path === dirname(path)) return real ?? path;
  return join(await realPlace(dirname(path)), basename(path));
}

/** As `refuseExistingFile`, for a new folder. */
export async function refuseExistingFolder(option: string, folder: string): Promise<void> {
  if ((await stat(folder).catch(() => undefined)) !== undefined) throw taken(option, folder);
}

const taken = (option: string, path: string): PupilError =>
  new PupilError('exists', `${path} already exists; choose another \`${option}\``, { option });
