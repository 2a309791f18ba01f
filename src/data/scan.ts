import { open, readdir, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { PupilError } from '../errors.js';
import { imageFormat } from '../image/format.js';
import { contentHash, reasonOf } from './read.js';
import type { Source } from './sample.js';

/** A file found in a folder or an archive. */
export interface Entry {
  /** Below the root, parts joined by '/'. */
  readonly name: string;
  /** What users see. */
  readonly path: string;
  readonly source: Source;
  readonly hash: string;
  /** By signature; 'unknown', 'empty'... when it is no image that is read. */
  readonly format: string;
  readonly bytes: number;
  /** Why it cannot be used, if so. */
  readonly problem?: string | undefined;
}

/** All files below a root, and all folders (also the empty ones). */
export interface Scan {
  readonly entries: readonly Entry[];
  readonly folders: readonly string[];
}

/** Files that systems and tools leave in folders, and that nobody means as data. */
export const isJunk = (name: string): boolean => {
  const last = name.slice(name.lastIndexOf('/') + 1);
  return last.startsWith('.') || /^(thumbs\.db|desktop\.ini|__macosx|icon\r)$/i.test(last);
};

/** What a file's content says of it. */
export function describeBytes(bytes: Uint8Array): Pick<Entry, 'hash' | 'format' | 'bytes' | 'problem'> {
  const format = imageFormat(bytes);
  return {
    hash: contentHash(bytes),
    format: format.name,
    bytes: bytes.length,
    problem: format.readable ? undefined : format.problem,
  };
}

/** Runs `work` on every item, `lanes` at a time; the results keep their order. */
export async function inParallel<T, R>(
  items: readonly T[],
  lanes: number,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const results = new Array<R>(items.length);
  let next = 0;
  await Promise.all(
    Array.from({ length: Math.min(lanes, items.length) }, async () => {
      while (next < items.length) {
        const index = next++;
        results[index] = await work(items[index]!);
      }
    }),
  );
  return results;
}

/** Reads a file as an entry; one that cannot be read is an entry with a problem. */
export async function readEntry(name: string, path: string): Promise<Entry> {
  const source: Source = { kind: 'file', path };
  try {
    // Look at the signature first: what is no image is not worth reading.
    const file = await open(path);
    try {
      const head = new Uint8Array(64);
      const { bytesRead } = await file.read(head, 0, head.length, 0);
      const format = imageFormat(head.subarray(0, bytesRead));
      if (!format.readable)
        return {
          name,
          path,
          source,
          hash: '',
          format: format.name,
          bytes: (await file.stat()).size,
          problem: format.problem,
        };
      return { name, path, source, ...describeBytes(await file.readFile()) };
    } finally {
      await file.close();
    }
  } catch (error) {
    return {
      name,
      path,
      source,
      hash: '',
      format: 'unreadable',
      bytes: 0,
      problem: `cannot be read (${reasonOf(error)})`,
    };
  }
}

/**
 * Every file below `root`, its content hashed. Links are followed, hidden files are passed over.
 */
export async function scanFolder(root: string): Promise<Scan> {
  const files: { name: string; path: string }[] = [];
  const folders: string[] = [];
  const visit = async (folder: string, name: string, above: readonly string[]): Promise<void> => {
    const real = await realpath(folder);
    if (above.includes(real)) return; // a link to a folder that holds it
    const children = (await readdir(folder, { withFileTypes: true })).sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const child of children) {
      if (isJunk(child.name)) continue;
      const path = join(folder, child.name);
      const childName = name === '' ? child.name : `${name}/${child.name}`;
      const info = child.isSymbolicLink() ? await stat(path).catch(() => undefined) : child;
      if (info?.isDirectory() === true) {
        folders.push(childName);
        await visit(path, childName, [...above, real]);
      } else if (info === undefined || info.isFile()) files.push({ name: childName, path });
    }
  };
  try {
    await visit(root, '', []);
  } catch (error) {
    throw new PupilError('not-found', `${root}: the folder cannot be read (${reasonOf(error)})`, { cause: error });
  }
  return { entries: await inParallel(files, 16, ({ name, path }) => readEntry(name, path)), folders };
}
