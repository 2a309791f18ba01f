import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { open, readFile, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isRunning, thisProcess, type ProcessId } from '../drafts.js';
import { PupilError } from '../errors.js';
import { counted } from '../data/words.js';
import { writeFileAtomically } from './files.js';

/** Who is at work in a folder, and when that began. */
interface Owner extends ProcessId {
  readonly since: string;
  /** 1: its file is written again and again while it is at work; 0: nothing is known of that. */
  readonly beats: 0 | 1;
}

/** A folder in which this process alone is at work. */
export interface Lock {
  /** Lets others work there again. */
  release(): Promise<void>;
  /** Throws `busy` where another process took over, as this one had given no sign of life for long. */
  assertHeld(): void;
  /** Removes the locks that dead processes left below the folder. */
  sweepBelow(): Promise<void>;
}

/** Milliseconds. */
interface Pace {
  /** After which a lock is written again. */
  readonly beat: number;
  /** After which one of another computer that was not written again no longer counts. */
  readonly silence: number;
}

const usualPace: Pace = { beat: 10_000, silence: 180_000 };

const pattern = /^lock-[0-9a-f]{16}\.json$/;
/** Locks of this process, by name. */
const held = new Set<string>();
/** How long to wait for others who came at the same time to step back. */
const patience = { tries: 10, milliseconds: 50 };

/**
 * Makes this process the only one at work in a folder, until the lock is released. Throws `busy` while another one is.
 * Locks of processes that have died do not count: on this computer at once, on another one when they have not been
 * written again for `silence`, by the clock of the file system.
 *
 * Everybody puts down a lock of their own and then looks for those of others, so two who come at
 * once see at least each other: the one whose lock has the smaller name waits for the other, who
 * steps back.
 */
export async function lockFolder(folder: string, { beat, silence }: Pace = usualPace): Promise<Lock> {
  const name = `lock-${randomBytes(8).toString('hex')}.json`,
    path = join(folder, name);
  const owner: Owner = { ...thisProcess, since: new Date().toISOString(), beats: 0 };
  let isLost = false;
  const sign = async (): Promise<void> => {
    try {
      await overwrite(path, textOf({ ...owner, beats: 1 }));
    } catch (error) {
      // A share that is gone for a while, or writes no file in place, tells nothing.
      isLost ||= (error as NodeJS.ErrnoException).code === 'ENOENT' && held.has(name) && existsSync(folder);
    }
  };
  held.add(name);
  await writeFileAtomically(path, textOf(owner)).catch((error: unknown) => {
    held.delete(name);
    throw error;
  });
  const timer = setInterval(() => void sign(), beat).unref();
  const release = async (): Promise<void> => {
    clearInterval(timer);
    held.delete(name);
    await rm(path, { force: true });
  };
  const oldest = async (): Promise<number> => (await stat(path)).mtimeMs - silence;
  try {
    await sign();
    for (let tries = 0; ; tries++) {
      const others = await locksOf(folder, await oldest(), name);
      const [first] = others;
      if (first === undefined) break;
      if (tries === patience.tries || others.some((other) => other.name < name)) throw busy(folder, first, silence);
      await sleep(patience.milliseconds);
    }
  } catch (error) {
    await release();
    throw error;
  }
  return {
    release,
    assertHeld() {
      if (isLost)
        throw new PupilError(
          'busy',
          `${folder}: another process took over, as this one had given no sign of life for ${minutes(silence)}`,
        );
    },
    async sweepBelow() {
      await sign();
      await sweepLocks(folder, await oldest());
    },
  };
}

/** Always as many bytes for one owner, so that nobody who reads while it is written again sees half of it. */
const textOf = (owner: Owner): string => JSON.stringify(owner) + '\n';

/** Writes over a file that is there. */
async function overwrite(path: string, text: string): Promise<void> {
  const handle = await open(path, 'r+');
  await handle.write(text, 0).finally(() => handle.close());
}

const minutes = (milliseconds: number): string => counted(milliseconds / 60_000, 'minute');

/** Whether a name is that of a lock. */
export const isLock = (name: string): boolean => pattern.test(name);

/**
 * Locks of processes at work in a folder; those that the dead have left, and damaged ones, are removed. `oldest`: when
 * those of other computers were written last that count.
 */
async function locksOf(folder: string, oldest: number, own?: string): Promise<(Owner & { readonly name: string })[]> {
  const found: (Owner & { readonly name: string })[] = [];
  for (const name of await readdir(folder)) {
    if (!isLock(name) || name === own) continue;
    const path = join(folder, name);
    const text = await readFile(path, 'utf8').catch(() => undefined);
    const written = (await stat(path).catch(() => undefined))?.mtimeMs;
    if (text === undefined || written === undefined) continue; // released just now
    const owner = ownerIn(text);
    if (owner !== undefined && isAtWork(owner, name, written >= oldest)) found.push({ ...owner, name });
    else await rm(path, { force: true });
  }
  return found;
}

async function sweepLocks(folder: string, oldest: number): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (!entry.isDirectory()) continue;
    await locksOf(join(folder, entry.name), oldest);
    await sweepLocks(join(folder, entry.name), oldest);
  }
}

function ownerIn(text: string): Owner | undefined {
  try {
    const { pid, host, start, since, beats } = JSON.parse(text) as Partial<Record<keyof Owner, unknown>>;
    if (!Number.isSafeInteger(pid) || typeof host !== 'string' || typeof since !== 'string') return undefined;
    return { pid: pid as number, host, start: Number(start ?? 0), since, beats: beats === 1 ? 1 : 0 };
  } catch {
    return undefined;
  }
}

/** Of a process on another computer nothing but its signs of life is known. */
const isAtWork = (owner: Owner, name: string, isRecent: boolean): boolean => {
  const runs = isRunning(owner) ?? (isRecent || owner.beats === 0);
  return runs && (owner.pid !== process.pid || owner.host !== thisProcess.host || held.has(name));
};

const busy = (
  folder: string,
  { pid, host, since, name, beats }: Owner & { readonly name: string },
  silence: number,
): PupilError => {
  const isHere = host === thisProcess.host;
  const gone =
    beats === 1
      ? `its lock counts no longer ${minutes(silence)} after its last sign of life`
      : `delete ${join(folder, name)}`;
  return new PupilError(
    'busy',
    `${folder}: process ${pid}${isHere ? '' : ` on ${host}`} has been at work in it since ${since}; ` +
      `wait for it to end, or stop it${isHere ? '' : ` (if it is gone, ${gone})`}`,
  );
};
