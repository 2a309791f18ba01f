/** Images in their order, named but not opened: what an array job divides. */
import { createHash } from 'node:crypto';
import { isManifest, readManifest } from './manifest.js';
import { NamedFile, type FileNames, type Found } from './file-names.js';
import type { FileTable } from './file-table.js';
import { readFound } from './read-entry.js';
import { inParallel, lanes, walkFolder, type Entry } from './scan.js';
import { readFiles } from './scan-folder.js';
import { scanTars, type ArchiveOptions } from './archives.js';
import { isParquet, parquetFilesAmong, readParquetImages } from './parquet/images.js';
import { shardsOf } from './tar.js';
import { readTree } from './tree.js';
import { shownPlace } from '../http/address.js';

/** What may be given where no labels are needed. */
const anyImages = 'an image, a folder of images, a .tar, .parquet files, or a .csv, .tsv or .jsonl manifest';

/** A file of a folder by its name, or one that was read already, such as in an archive. */
export type ListedFile = Found | Entry;

export interface Listing {
  readonly files: readonly ListedFile[];
  /** What is odd but does no harm, one line each. */
  readonly notes: readonly string[];
}

interface Listed extends Listing {
  /** Whether no path is there twice. */
  readonly areDistinct?: boolean | undefined;
}

/**
 * Every file of some sources (files, folders, archives, manifests), whatever its place or label, each
 * path once. Those of folders are not read. Throws `not-found` and `bad-data`.
 */
export async function listFiles(paths: readonly string[], options: ArchiveOptions = {}): Promise<Listing> {
  const files: ListedFile[] = [],
    notes: string[] = [];
  const seen = new Set<string>();
  for (const [i, path] of paths.entries()) {
    const listing = await listOne(path, options);
    const isLast = i === paths.length - 1 && listing.areDistinct === true;
    for (const file of listing.files) {
      if (seen.size > 0 && seen.has(file.path)) continue;
      if (!isLast) seen.add(file.path);
      files.push(file);
    }
    notes.push(...listing.notes);
    if (listing.files.length === 0) notes.push(`${shownPlace(path)}: no images there`);
  }
  return { files, notes };
}

async function listOne(path: string, options: ArchiveOptions): Promise<Listed> {
  if (isParquet(path)) return listTables(shardsOf(path), options);
  const tree = await readTree<Listed>(path, anyImages, {
    async folder(folder) {
      const { files, notes } = await walkFolder(folder);
      return { files: [...files], notes, areDistinct: true };
    },
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

/** Reads listed files, in their order; `hashes`: `ScanOptions`. */
export async function openListed(files: readonly ListedFile[], hashes = true): Promise<Iterable<Entry>> {
  const opened = new Array<Entry>(files.length);
  /** Indexes of files by the folder that was walked. */
  const folders = new Map<FileNames | undefined, number[]>();
  for (const [i, file] of files.entries()) {
    if ('hash' in file) {
      opened[i] = file;
      continue;
    }
    const names = file instanceof NamedFile ? file.names : undefined;
    const others = folders.get(names) ?? [];
    folders.set(names, others);
    others.push(i);
  }
  for (const [names, indexes] of folders) {
    if (names === undefined) {
      await inParallel(indexes, lanes, async (i) => {
        opened[i] = await readFound(files[i]!);
      });
      continue;
    }
    const rows = indexes.map((i) => (files[i] as NamedFile).index);
    // Each is there once.
    const isWhole = rows.length === names.length;
    const table: FileTable = await readFiles(names, { rows: isWhole ? undefined : rows, hashes });
    if (isWhole && rows.length === files.length) return table;
    for (const [k, i] of indexes.entries()) opened[i] = table.at(k);
  }
  return opened;
}

/** Depends on the names of files and on their order, not on where they lie. */
export function hashOfNames(files: Iterable<Pick<ListedFile, 'name'>>): string {
  const hash = createHash('sha256');
  for (const { name } of files) hash.update(`${name}\n`);
  return hash.digest('hex').slice(0, 32);
}
