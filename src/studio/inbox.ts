/** Images that a page sends, written into the open folder: over no other file, and nowhere else. */
import { randomBytes } from 'node:crypto';
import { constants } from 'node:fs';
import { copyFile, link, lstat, readFile, rm, writeFile } from 'node:fs/promises';
import { extname, join } from 'node:path';
import { makeFolder } from '../artifact/files.js';
import { PupilError } from '../errors.js';
import { imageFormat } from '../image/format.js';
import { studioFolder } from './labels.js';
import { isImageName, requireFolder } from './paths.js';
import { makePlace, namesIn } from './places.js';
import type { Added } from './protocol.js';

/** What a studio takes in at most, and at once; a file has at most `bodyLimits.picture` bytes. */
export const inboxLimits = { files: 50_000, bytes: 50 * 2 ** 30, together: 4 } as const;

export interface Inbox {
  /**
   * Writes an image to a path below the folder, numbered where that is taken by other bytes. `read` is called
   * once there is room. Throws `usage` (a path that leads elsewhere), `bad-data` (no image), `busy`, `io`.
   */
  add(path: string, read: () => Promise<Uint8Array>): Promise<Added>;
}

export function openInbox(
  root: string | undefined,
  limits: Record<keyof typeof inboxLimits, number> = inboxLimits,
): Inbox {
  let files = 0,
    bytes = 0,
    going = 0;
  return {
    async add(path, read) {
      if (root === undefined) throw new PupilError('usage', 'no folder is open; open one, or make one');
      const names = namesIn(path),
        name = names.pop() ?? '';
      if (!isImageName(name))
        throw new PupilError('bad-data', `${name || 'a file without a name'}: not an image by its name`);
      if (going >= limits.together) throw new PupilError('busy', `at most ${limits.together} images are taken at once`);
      if (files >= limits.files || bytes >= limits.bytes)
        throw new PupilError('usage', 'so many images were added; copy the others into the folder yourself');
      going++;
      try {
        const data = await read();
        const format = imageFormat(data.subarray(0, 64));
        if (!format.readable) throw new PupilError('bad-data', `${name}: ${format.problem}`);
        await requireFolder(root);
        const folder = await makePlace(root, names);
        const added = await place(root, folder, name, data);
        if (added.isNew) [files, bytes] = [files + 1, bytes + data.length];
        return { path: [...names, added.name].join('/'), isNew: added.isNew };
      } finally {
        going--;
      }
    },
  };
}

/** Writes all bytes beside the studio's own files first: under its name an image is whole from the start. */
async function place(
  root: string,
  folder: string,
  name: string,
  data: Uint8Array,
): Promise<{ readonly name: string; readonly isNew: boolean }> {
  const incoming = join(root, studioFolder, 'incoming'),
    draft = join(incoming, randomBytes(8).toString('hex'));
  try {
    await makeFolder(incoming);
    await writeFile(draft, data, { flag: 'wx' });
    const end = extname(name),
      stem = name.slice(0, name.length - end.length);
    for (let n = 1; ; n++) {
      const free = n === 1 ? name : `${stem} (${n})${end}`;
      if (await moveTo(draft, join(folder, free))) return { name: free, isNew: true };
      if (await isSame(join(folder, free), data)) return { name: free, isNew: false };
    }
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    throw new PupilError('io', `${name}: cannot be written${code === 'ENOSPC' ? ', the disk is full' : ` (${code})`}`);
  } finally {
    await rm(draft, { force: true }).catch(() => undefined);
  }
}

/** Gives a file another name; false where something has it. */
async function moveTo(draft: string, path: string): Promise<boolean> {
  const isTaken = (error: NodeJS.ErrnoException): boolean => error.code === 'EEXIST';
  try {
    await link(draft, path);
    return true;
  } catch (error) {
    if (isTaken(error as NodeJS.ErrnoException)) return false;
  }
  // A file system without links.
  try {
    await copyFile(draft, path, constants.COPYFILE_EXCL);
    return true;
  } catch (error) {
    if (isTaken(error as NodeJS.ErrnoException)) return false;
    throw error;
  }
}

/** Whether a file, not what a link leads to, has these bytes. */
async function isSame(path: string, data: Uint8Array): Promise<boolean> {
  const info = await lstat(path).catch(() => undefined);
  return info?.isFile() === true && info.size === data.length && Buffer.compare(await readFile(path), data) === 0;
}
