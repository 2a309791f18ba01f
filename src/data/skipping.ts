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
  const one = unreadable[skip];
  if (one === undefined) return;
  const what = unreadable.length === 1 ? '1 file or image' : `${unreadable.length} files or images`;
  throw new PupilError('bad-data', `${what} cannot be read, more than \`skip: ${skip}\`: ${one.path} (${one.reason})`, {
    option: 'skip',
  });
}
