/** What jobs over images without labels share. */
import { stat } from 'node:fs/promises';
import type { Sample, Unreadable } from '../data/sample.js';
import { PupilError } from '../errors.js';
import type { RunEvent } from '../runs/events.js';

/** Of equal contents the first. */
export function distinct(samples: readonly Sample[]): Sample[] {
  const seen = new Set<string>();
  return samples.filter(({ hash }) => !seen.has(hash) && seen.add(hash));
}

/** Throws `exists` where there is something at the path of a file to write. */
export async function assertFree(path: string): Promise<void> {
  if (await stat(path).catch(() => undefined))
    throw new PupilError('exists', `${path} already exists and is never overwritten; choose another \`out\``, {
      option: 'out',
    });
}

/** A warning for each of the first files that cannot be decoded, and how many more there are. */
export function* warnUnreadable(unreadable: readonly Unreadable[]): Generator<RunEvent, void, undefined> {
  for (const { path, reason } of unreadable.slice(0, 10))
    yield { type: 'warning', message: `skipped, unreadable: ${path} (${reason})` };
  if (unreadable.length > 10)
    yield { type: 'warning', message: `and ${unreadable.length - 10} more files (pupil doctor lists all)` };
}
