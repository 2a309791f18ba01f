import { stat } from 'node:fs/promises';
import { PupilError } from '../errors.js';

/** Throws `exists` when the file that `option` names is there already: ask before long work, not after it. */
export async function refuseExistingFile(option: string, file: string | undefined): Promise<void> {
  if (file === undefined) return;
  const found = await stat(file).catch(() => undefined);
  if (found === undefined) return;
  const what = found.isDirectory() ? 'is a folder; name a file in it' : `already exists; choose another \`${option}\``;
  throw new PupilError('exists', `${file} ${what}`, { option });
}
