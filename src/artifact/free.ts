import { stat } from 'node:fs/promises';
import { PupilError } from '../errors.js';

/** Throws `exists` when the file that `option` names is there already: ask before long work, not after it. */
export async function refuseExistingFile(option: string, file: string | undefined): Promise<void> {
  if (file === undefined) return;
  const found = await stat(file).catch(() => undefined);
  if (found === undefined) return;
  if (!found.isDirectory()) throw taken(option, file);
  throw new PupilError('exists', `${file} is a folder; name a file in it`, { option });
}

/** The same for a new folder. */
export async function refuseExistingFolder(option: string, folder: string): Promise<void> {
  if ((await stat(folder).catch(() => undefined)) !== undefined) throw taken(option, folder);
}

const taken = (option: string, path: string): PupilError =>
  new PupilError('exists', `${path} already exists; choose another \`${option}\``, { option });
