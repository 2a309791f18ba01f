/** What jobs over images without labels share. */
import { naturalOrder } from '../data/dataset.js';
import type { Sample, Unreadable } from '../data/sample.js';
import type { RunEvent } from '../runs/events.js';

/** Of equal contents the first. */
export function distinct(samples: readonly Sample[]): Sample[] {
  const seen = new Set<string>();
  return samples.filter(({ hash }) => !seen.has(hash) && seen.add(hash));
}

/** Files that are skipped as results name them: in natural order, whoever came upon them first. */
export const skippedOf = (unreadable: readonly Unreadable[]): Unreadable[] =>
  unreadable.map(({ path, reason }) => ({ path, reason })).sort((one, other) => naturalOrder(one.path, other.path));

/** A warning for each of the first files that cannot be decoded, and how many more there are. */
export function* warnUnreadable(unreadable: readonly Unreadable[]): Generator<RunEvent, void, undefined> {
  for (const { path, reason } of unreadable.slice(0, 10))
    yield { type: 'warning', message: `skipped, unreadable: ${path} (${reason})` };
  if (unreadable.length > 10)
    yield { type: 'warning', message: `and ${unreadable.length - 10} more files (pupil doctor lists all)` };
}
