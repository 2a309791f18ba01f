/** What was found in files of hosts, kept in the cache folder: none is read again to be opened. */
import { readFile, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { makeFolders } from '../../folders.js';
import { draftOf } from '../../drafts.js';

/** What was kept with that version; undefined where there is nothing of it. */
export async function readKept<Content>(path: string, version: number): Promise<Content | undefined> {
  try {
    const kept = JSON.parse(await readFile(path, 'utf8')) as { readonly version: number; readonly content: Content };
    if (kept.version !== version) return undefined;
    const now = new Date();
    await utimes(path, now, now).catch(() => undefined);
    return kept.content;
  } catch {
    return undefined;
  }
}

/** Keeps something whole; where the disk does not take it, it is made again next time. */
export async function writeKept(path: string, version: number, content: unknown): Promise<void> {
  const draft = draftOf(path);
  try {
    await makeFolders(dirname(path));
    await writeFile(draft, JSON.stringify({ version, content }));
    await rename(draft, path);
  } catch {
    await rm(draft, { force: true }).catch(() => undefined);
  }
}
