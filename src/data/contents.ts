/** Whether images are those that were looked at before: what they contain, read where sizes and times do not tell. */
import { createHash } from 'node:crypto';
import { openFiles } from './dataset.js';
import { tick } from './file-index.js';
import type { ListedFile } from './listing.js';
import type { Dataset } from './sample.js';
import { timesOf } from './scan-folder.js';

/** Files that are opened together. */
const atOnce = 4096;

/** Hashes the contents of images, in the order of their list. */
export class ContentHash {
  readonly #hash = createHash('sha256');

  /** Adds files as they were opened: one that is no image counts as such. */
  add(files: readonly ListedFile[], { samples }: Pick<Dataset, 'samples'>): void {
    const known = new Map(samples.map(({ path, hash }) => [path, hash]));
    for (const { path } of files) this.#hash.update(`${known.get(path) ?? ''}\n`);
  }

  /** The first 128 bits of SHA-256, hexadecimal. */
  digest(): string {
    return this.#hash.copy().digest('hex').slice(0, 32);
  }
}

/** Opens files part by part, in their order, the next while one is at work; all are added to `contents`. */
export async function* openInParts(
  files: readonly ListedFile[],
  contents?: ContentHash,
): AsyncGenerator<Dataset, void, undefined> {
  const partAt = (start: number): readonly ListedFile[] => files.slice(start, start + atOnce);
  const open = (start: number): Promise<Dataset> => {
    const opened = openFiles('', partAt(start));
    opened.catch(() => undefined); // reported when it is awaited
    return opened;
  };
  let next = open(0);
  for (let start = 0; start < files.length; start += atOnce) {
    const part = await next;
    next = open(start + atOnce);
    contents?.add(partAt(start), part);
    yield part;
  }
}

/** Reads files for what `ContentHash` says of them. */
export async function hashOfContents(
  files: readonly ListedFile[],
  onProgress?: (done: number, total: number) => void,
): Promise<string> {
  const contents = new ContentHash();
  let done = 0;
  for await (const { samples, unreadable } of openInParts(files, contents))
    onProgress?.((done += samples.length + unreadable.length), files.length);
  return contents.digest();
}

/**
 * Hash of the sizes and times of files, none of which is read, and of the contents of what was read to be listed, as
 * images in archives are. Where it is the same, so are the contents. Undefined where a file changed so shortly before
 * `now` (milliseconds since 1970) that it may change again without another time.
 */
export async function stampOf(files: readonly ListedFile[], now = Date.now()): Promise<string | undefined> {
  const times = await timesOf(files.length, (i) => {
    const file = files[i]!;
    return 'hash' in file || file.problem !== undefined ? undefined : file.path;
  });
  const hash = createHash('sha256');
  for (const [i, file] of files.entries()) {
    const own = times.at(i);
    if (own !== undefined && Math.max(own.mtimeMs, own.ctimeMs) > now - tick) return undefined;
    hash.update('hash' in file ? `${file.hash}\n` : `${own?.size} ${own?.mtimeMs} ${own?.ctimeMs}\n`);
  }
  return hash.digest('hex').slice(0, 32);
}
