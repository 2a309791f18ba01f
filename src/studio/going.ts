/** Which runs were under way: what a studio that is opened again goes on with. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileAtomically } from '../artifact/files.js';
import { lockFolder } from '../artifact/lock.js';
import { readRunRequest } from './bodies.js';
import { studioFolder } from './labels.js';
import type { RunRequest } from './protocol.js';

/** A run that waits or trains, and what the person asked for; undefined for one that was only resumed. */
export interface Going {
  readonly name: string;
  readonly asked: RunRequest | undefined;
}

const fileIn = (folder: string): string => join(folder, studioFolder, 'going.json');

export const writeGoing = (folder: string, going: readonly Going[]): Promise<void> =>
  writeFileAtomically(fileIn(folder), JSON.stringify(going));

/** None where the file is not what the studio writes. */
export async function readGoing(folder: string): Promise<readonly Going[]> {
  try {
    const list = JSON.parse(await readFile(fileIn(folder), 'utf8')) as readonly Record<string, unknown>[];
    return list.map(({ name, asked }) => ({
      name: String(name),
      asked: asked === undefined ? undefined : readRunRequest(asked),
    }));
  } catch {
    return [];
  }
}

/** Waits until the process that worked in a run folder has saved its state and ended; a minute at most. */
export async function untilFree(path: string): Promise<void> {
  for (let tries = 0; tries < 120; tries++) {
    const lock = await lockFolder(path).catch(() => undefined);
    if (lock !== undefined) return lock.release();
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}
