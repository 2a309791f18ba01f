/**
 * Files that are being written: each stands under another name until it is whole. The name says who
 * writes it, so that what a process left that was killed can be told from what is still written.
 */
import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { lstat, readdir, rm } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join } from 'node:path';

/** A process: its number, and when it began, for numbers are used again. */
export interface ProcessId {
  readonly host: string;
  readonly pid: number;
  /** In ticks since the machine started; 0 where the system does not tell. */
  readonly start: number;
}

/**
 * When a process began, in ticks since the machine started, or 'ended' for one that has ended but was not yet waited
 * for by its parent (a container whose first process waits for nobody keeps it so); undefined where Linux's /proc has
 * no such process.
 */
function startOf(pid: number): number | 'ended' | undefined {
  try {
    // The second field, a name in parentheses, may hold anything; after it come the state and, as the 20th, the start.
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields[0] === 'Z' || fields[0] === 'X') return 'ended';
    const start = Number(fields[19]);
    return Number.isSafeInteger(start) ? start : undefined;
  } catch {
    return undefined;
  }
}

export const thisProcess: ProcessId = { host: hostname(), pid: process.pid, start: Number(startOf(process.pid) ?? 0) };

/** Whether a process still runs; of one on another computer nothing is known. */
export function isRunning({ host, pid, start }: ProcessId): boolean | undefined {
  if (host !== thisProcess.host) return undefined;
  if (pid === thisProcess.pid) return start === thisProcess.start;
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false;
  }
  const began = startOf(pid);
  if (began === 'ended') return false;
  return start === 0 || began === undefined || began === start;
}

const hostKey = (host: string): string => createHash('sha256').update(host).digest('hex').slice(0, 8);
const pattern = /^\.pupil-([0-9a-f]{8})-(\d+)-(\d+)-[0-9a-f]{8}-/;
/** A draft of another computer that nobody has written to for so long is given up, milliseconds. */
const longest = 24 * 60 * 60_000;

/** Where a file is written before it gets its name: a new path in the same folder. */
export const draftOf = (path: string): string =>
  join(
    dirname(path),
    `.pupil-${hostKey(thisProcess.host)}-${thisProcess.pid}-${thisProcess.start}-${randomBytes(4).toString('hex')}-` +
      basename(path).slice(-80),
  );

/** Whether a name is that of a draft. */
export const isDraft = (name: string): boolean => pattern.test(name);

/** Whether a file is a draft that nobody goes on with. */
async function isAbandoned(path: string): Promise<boolean> {
  const [, host, pid, start] = pattern.exec(basename(path)) ?? [];
  if (host === undefined) return false;
  if (host === hostKey(thisProcess.host))
    return isRunning({ host: thisProcess.host, pid: Number(pid), start: Number(start) }) === false;
  const written = (await lstat(path).catch(() => undefined))?.mtimeMs;
  return written !== undefined && Date.now() - written > longest;
}

/** The drafts of `path` that nobody goes on with: of processes that were killed. */
export async function abandonedDrafts(path: string): Promise<string[]> {
  const end = basename(path).slice(-80);
  const found: string[] = [];
  for (const name of await readdir(dirname(path)).catch(() => []))
    if (isDraft(name) && name.replace(pattern, '') === end && (await isAbandoned(join(dirname(path), name))))
      found.push(join(dirname(path), name));
  return found;
}

/**
 * Removes the drafts that processes left in a folder when they were killed; with `deep` also below
 * it. What cannot be removed stays. Returns how many were removed.
 */
export async function sweepDrafts(folder: string, { deep = false } = {}): Promise<number> {
  let removed = 0;
  for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => [])) {
    const path = join(folder, entry.name);
    if (isDraft(entry.name)) {
      if (await isAbandoned(path))
        removed += await rm(path, { force: true }).then(
          () => 1,
          () => 0,
        );
    } else if (deep && entry.isDirectory()) removed += await sweepDrafts(path, { deep });
  }
  return removed;
}
