/** Images in their order, named but not opened: what an array job divides. */
import { createHash } from 'node:crypto';
import { isManifest, readManifest } from './manifest.js';
import { inParallel, lanes, readFound, walkFolder, type Entry, type Found } from './scan.js';
import { scanTars } from './tar.js';
import { readTree } from './tree.js';

/** What may be given where no labels are needed. */
const anyImages = 'an image, a folder of images, a .tar, or a .csv, .tsv or .jsonl manifest';

/** A file of a folder by its name, or one that was read already, such as in an archive. */
export type ListedFile = Found | Entry;

export interface Listing {
  readonly files: readonly ListedFile[];
  /** What is odd but does no harm, one line each. */
  readonly notes: readonly string[];
}

/**
 * Every file of some sources (files, folders, archives, manifests), whatever its place or label, each
 * path once. Those of folders are not read. Throws `not-found` and `bad-data`.
 */
export async function listFiles(paths: readonly string[]): Promise<Listing> {
  const files = new Map<string, ListedFile>(),
    notes: string[] = [];
  for (const path of paths) {
    const listing = await listOne(path);
    for (const file of listing.files) if (!files.has(file.path)) files.set(file.path, file);
    notes.push(...listing.notes);
  }
  return { files: [...files.values()], notes };
}

async function listOne(path: string): Promise<Listing> {
  const tree = await readTree<Listing>(path, anyImages, {
    folder: walkFolder,
    archives: async (archives) => ({ files: (await scanTars(archives)).entries, notes: [] }),
  });
  if (tree !== undefined) return tree;
  if (!isManifest(path)) return { files: [{ name: path, path }], notes: [] };
  const { placed, notes } = await readManifest(path, { labels: false });
  return { files: placed.map(({ entry }) => entry), notes };
}

/** Reads listed files. */
export const openListed = (files: readonly ListedFile[]): Promise<Entry[]> =>
  inParallel(files, lanes, (file) => ('hash' in file ? Promise.resolve(file) : readFound(file)));

/** Depends on the names of files and on their order, not on where they lie. */
export function hashOfNames(files: readonly ListedFile[]): string {
  const hash = createHash('sha256');
  for (const { name } of files) hash.update(`${name}\n`);
  return hash.digest('hex').slice(0, 32);
}
