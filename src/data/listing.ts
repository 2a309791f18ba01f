/** Images in their order, named but not opened: what an array job divides. */
import { createHash } from 'node:crypto';
import { isManifest, readManifest } from './manifest.js';
import { inParallel, lanes, readFound, walkFolder, type Entry, type Found } from './scan.js';
import { readFiles } from './scan-folder.js';
import { scanTars, type ArchiveOptions } from './archives.js';
import { isParquet, parquetFilesAmong, readParquetImages } from './parquet/images.js';
import { shardsOf } from './tar.js';
import { readTree } from './tree.js';

/** What may be given where no labels are needed. */
const anyImages = 'an image, a folder of images, a .tar, .parquet files, or a .csv, .tsv or .jsonl manifest';

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
export async function listFiles(paths: readonly string[], options: ArchiveOptions = {}): Promise<Listing> {
  const files = new Map<string, ListedFile>(),
    notes: string[] = [];
  for (const path of paths) {
    const listing = await listOne(path, options);
    for (const file of listing.files) if (!files.has(file.path)) files.set(file.path, file);
    notes.push(...listing.notes);
  }
  return { files: [...files.values()], notes };
}

async function listOne(path: string, options: ArchiveOptions): Promise<Listing> {
  if (isParquet(path)) return listTables(shardsOf(path), options);
  const tree = await readTree<Listing>(path, anyImages, {
    folder: walkFolder,
    async archives(archives) {
      const { entries, damaged = [] } = await scanTars(archives, options);
      const problems = damaged.map(({ path: name, reason }) => ({ name, path: name, problem: reason }));
      return { files: [...entries, ...problems], notes: [] };
    },
  });
  const tables = parquetFilesAmong(tree?.files ?? []).map((file) => file.path);
  if (tables.length > 0) return listTables(tables, { ...options, whole: true });
  if (tree !== undefined) return tree;
  if (!isManifest(path)) return { files: [{ name: path, path }], notes: [] };
  const { placed, notes } = await readManifest(path, { labels: false });
  return { files: placed.map(({ entry }) => entry), notes };
}

async function listTables(paths: readonly string[], options: ArchiveOptions & { whole?: boolean }): Promise<Listing> {
  const { placed, damaged } = await readParquetImages(paths, options);
  const problems = damaged.map(({ path: name, reason }) => ({ name, path: name, problem: reason }));
  return { files: [...placed.map(({ entry }) => entry), ...problems], notes: [] };
}

/** Reads listed files. */
export async function openListed(files: readonly ListedFile[]): Promise<Entry[]> {
  const opened = new Array<Entry>(files.length);
  /** Indexes of files by the folder that was walked. */
  const folders = new Map<string | undefined, number[]>();
  for (const [i, file] of files.entries()) {
    if ('hash' in file) {
      opened[i] = file;
      continue;
    }
    const others = folders.get(file.root) ?? [];
    folders.set(file.root, others);
    others.push(i);
  }
  for (const [root, indexes] of folders) {
    const some = indexes.map((i) => files[i] as Found);
    const entries = await (root === undefined ? inParallel(some, lanes, readFound) : readFiles(root, some));
    for (const [k, i] of indexes.entries()) opened[i] = entries[k]!;
  }
  return opened;
}

/** Depends on the names of files and on their order, not on where they lie. */
export function hashOfNames(files: readonly ListedFile[]): string {
  const hash = createHash('sha256');
  for (const { name } of files) hash.update(`${name}\n`);
  return hash.digest('hex').slice(0, 32);
}
