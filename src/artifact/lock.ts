import { randomBytes } from 'node:crypto';
import { readFile, readdir, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { PupilError } from '../errors.js';
import { isRunning, writeFileAtomically } from './files.js';

/** Who is at work in a folder. */
interface Owner {
  readonly pid: number;
  readonly host: string;
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
  const owner: Owner = { pid: process.pid, host: hostname(), since: new Date().toISOString() };
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

/** Locks of processes at work in a folder; those that the dead have left are removed. */
async function locksOf(folder: string, own: string): Promise<(Owner & { readonly name: string })[]> {
  const found: (Owner & { readonly name: string })[] = [];
  for (const name of await readdir(folder)) {
    if (!pattern.test(name) || name === own) continue;
    const path = join(folder, name);
    const owner = await readFile(path, 'utf8').then(
      (text) => JSON.parse(text) as Owner,
      () => undefined, // released just now
    );
    if (owner === undefined) continue;
    if (isAtWork(owner, name)) found.push({ ...owner, name });
    else await rm(path, { force: true });
  }
  return found;
}

/** Of a process on another computer nothing is known: it counts. */
const isAtWork = ({ pid, host }: Owner, name: string): boolean =>
  host !== hostname() || (pid === process.pid ? held.has(name) : isRunning(pid));

const busy = (folder: string, { pid, host, since, name }: Owner & { readonly name: string }): PupilError =>
  new PupilError(
    'busy',
    `${folder}: process ${pid}${host === hostname() ? '' : ` on ${host}`} has been at work in it since ${since}; ` +
      `wait for it to end, or stop it${host === hostname() ? '' : ` (if it is gone, delete ${join(folder, name)})`}`,
  );
