import { rename, rm } from 'node:fs/promises';
import { writeError } from '../artifact/files.js';
import { draftOf } from '../drafts.js';
import { makeFolders } from '../folders.js';

/** Makes a new folder, in which `fill` writes; it appears whole or not at all. Throws `io`. */
export async function writeNewFolder(folder: string, fill: (draft: string) => Promise<void>): Promise<void> {
  const draft = draftOf(folder);
  try {
    await makeFolders(draft);
    await fill(draft);
    await rename(draft, folder);
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    throw writeError(folder, error);
  }
}
