import { rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { writeError } from '../artifact/files.js';
import { draftOf } from '../drafts.js';
import { makeFolders } from '../folders.js';
import type { Files } from '../jobs/deploy/zip.js';

/** Writes a new folder; it appears whole or not at all. Throws `io`. */
export async function writeNewFolder(folder: string, files: Files): Promise<void> {
  const draft = draftOf(folder);
  try {
    await makeFolders(draft);
    for (const [path, content] of files) {
      const file = join(draft, path);
      await makeFolders(dirname(file));
      await writeFile(file, content);
    }
    await rename(draft, folder);
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    throw writeError(folder, error);
  }
}
