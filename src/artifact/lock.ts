import { randomBytes } from 'node:crypto';
import { readFile, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isRunning, thisProcess, type ProcessId } from '../drafts.js';
import { PupilError } from '../errors.js';
import { writeFileAtomically } from './files.js';

/** Who is at work in a folder, and when that began. */
interface Owner extends ProcessId {
  readonly since: string;
}

const pattern = /^lock-[0-9a-f]{16}\.json$/;
/** Locks of this process, by name. */
const held = new Set<string>();
/** How long to wait for others who came at the same time to step back. */
const patience = { tries: 10, milliseconds: 50 };

/**
 * Makes this process the only one at work in a folder; the function that it returns ends that.
 * Throws `busy` while another one is. Locks of processes that have died do not count.
 *
 * Everybody puts down a lock of their own and then looks for those of others, so two who come at
 * once see at least each other: the one whose lock has the smaller name waits for the other, who
 * steps back.
 */
export async function lockFolder(folder: string): Promise<() => Promise<void>> {
  const name = `lock-${randomBytes(8).toString('hex')}.json`,
    path = join(folder, name);
  const owner: Owner = { ...thisProcess, since: new Date().toISOString() };
  held.add(name);
  const release = async (): Promise<void> => {
    held.delete(name);
    await rm(path, { force: true });
  };
  try {
    await writeFileAtomically(path, JSON.stringify(owner) + '\n');
    for (let tries = 0; ; tries++) {
      const others = await locksOf(folder, name);
      const [first] = others;
      if (first === undefined) return release;
      if (tries === patience.tries || others.some((other) => other.name < name)) throw busy(folder, first);
      await sleep(patience.milliseconds);
    }
  } catch (error) {
    await release();
    throw error;
  }
}

/** Whether a name is that of a lock. */
export const isLock = (name: string): boolean => pattern.test(name);

/** Locks of processes at work in a folder; those that the dead have left, and damaged ones, are removed. */
async function locksOf(folder: string, own?: string): Promise<(Owner & { readonly name: string })[]> {
  const found: (Owner & { readonly name: string })[] = [];
  for (const name of await readdir(folder)) {
    if (!isLock(name) || name === own) continue;
    const path = join(folder, name);
    const text = await readFile(path, 'utf8').catch(() => undefined);
    if (text === undefined) continue; // released just now
    const owner = ownerIn(text);
    if (owner !== undefined && isAtWork(owner, name)) found.push({ ...owner, name });
    else await rm(path, { force: true });
  }
  return found;
}

/** Removes the locks that dead processes left in a folder and below it. */
export async function sweepLocks(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) await sweepLocks(join(folder, entry.name));
  }
  await locksOf(folder);
}

function ownerIn(text: string): Owner | undefined {
  try {
    const { pid, host, start, since } = JSON.parse(text) as Partial<Record<keyof Owner, unknown>>;
    const isOwner = Number.isSafeInteger(pid) && typeof host === 'string' && typeof since === 'string';
    return isOwner ? { pid: pid as number, host, start: Number(start ?? 0), since } : undefined;
  } catch {
    return undefined;
  }
}

/** Of a process on another computer nothing is known: it counts. */
const isAtWork = (owner: Owner, name: string): boolean =>
  isRunning(owner) !== false && (owner.pid !== process.pid || owner.host !== thisProcess.host || held.has(name));

const busy = (folder: string, { pid, host, since, name }: Owner & { readonly name: string }): PupilError => {
  const isHere = host === thisProcess.host;
  return new PupilError(
    'busy',
    `${folder}: process ${pid}${isHere ? '' : ` on ${host}`} has been at work in it since ${since}; ` +
      `wait for it to end, or stop it${isHere ? '' : ` (if it is gone, delete ${join(folder, name)})`}`,
  );
};
