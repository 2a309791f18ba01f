/** Sets of images that come with Pupil, written as folders of files: to try the studio without photos of one's own. */
import { rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFolders } from '../folders.js';
import { spreadsheet } from '../artifact/csv.js';
import { digitImage, readDigits } from '../data/digits.js';
import { inParallel } from '../data/scan.js';
import { PupilError } from '../errors.js';
import { encodePng } from '../image/decode.js';
import { manifestName, studioFolder } from './labels.js';
import { isDirectory } from './paths.js';
import type { Places } from './protocol.js';

interface BundledSet {
  readonly says: string;
  /** Writes images and a list of labels. */
  readonly write: (folder: string) => Promise<void>;
}

/** Images of each digit, and how many of those have a label; `says` adds them up. */
const each = 100,
  labelledEach = 10;

const sets: Readonly<Record<string, BundledSet>> = {
  digits: {
    says: '1,000 handwritten digits, 100 of them labelled',
    async write(folder) {
      const { train } = await readDigits();
      const taken = Array.from({ length: 10 }, () => 0);
      const chosen = [...train.labels.entries()].filter(([, digit]) => taken[digit]!++ < each);
      const named = chosen.map(([index, digit], place) => ({
        index,
        digit,
        name: `${String(place + 1).padStart(4, '0')}.png`,
      }));
      await inParallel(named, 8, async ({ index, name }) =>
        writeFile(join(folder, name), await encodePng(digitImage(train, index))),
      );
      const first = Array.from({ length: 10 }, () => 0);
      const rows = named
        .filter(({ digit }) => first[digit]!++ < labelledEach)
        .map(({ name, digit }) => [name, String(digit)]);
      await writeFile(join(folder, manifestName), spreadsheet([['path', 'label'], ...rows]));
    },
  },
};

export const bundledSets: Places['sets'] = Object.entries(sets).map(([name, { says }]) => ({ name, says }));

/**
 * The folder of a bundled set below `root`, written there unless it was before. Throws `not-found` for another
 * name, `exists` where something else has that name.
 */
export async function writeSet(root: string, name: string): Promise<string> {
  const set = Object.hasOwn(sets, name) ? sets[name] : undefined;
  if (set === undefined)
    throw new PupilError('not-found', `there is no set of that name: ${Object.keys(sets).join(', ')}`);
  const folder = join(root, name);
  const record = join(folder, studioFolder, 'set');
  if (await isDirectory(record)) return folder;
  const draft = join(root, `.${name}-${process.pid}`);
  try {
    await rm(draft, { recursive: true, force: true });
    await makeFolders(join(draft, studioFolder, 'set'));
    await set.write(draft);
    // Onto an empty folder alone.
    await rename(draft, folder);
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOTEMPTY' || code === 'EEXIST' || code === 'ENOTDIR' || code === 'EPERM')
      throw new PupilError('exists', `${name}: something else has that name here; rename it, or open another folder`);
    throw new PupilError('io', `${name}: the set cannot be written here (${code ?? String(error)})`);
  }
  return folder;
}
