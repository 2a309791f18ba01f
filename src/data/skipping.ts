import { PupilError } from '../errors.js';
import type { Unreadable } from './sample.js';

/** How much that is damaged is passed over. */
export interface SkipOptions {
  /**
   * Files, images inside archives and archives that cannot be read and are skipped; one more is an error. Default:
   * any number of files and images, but no archive.
   */
  readonly skip?: number | undefined;
}

/** Throws `bad-data` where more cannot be read than are skipped. */
export function assertSkippable(unreadable: readonly Unreadable[], { skip = Infinity }: SkipOptions): void {
  if (unreadable.length <= skip) return;
  const named = unreadable.slice(0, mostNamed).map(({ path, reason }) => `${path} (${reason})`);
  if (unreadable.length > mostNamed) named.push(`and ${unreadable.length - mostNamed} more`);
  const what = unreadable.length === 1 ? '1 file or image' : `${unreadable.length} files or images`;
  throw new PupilError('bad-data', `${what} cannot be read, more than \`skip: ${skip}\`: ${named.join('; ')}`, {
    option: 'skip',
  });
}

/** Files that are named one by one in the line of an error. */
const mostNamed = 3;
