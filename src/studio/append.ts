import { open } from 'node:fs/promises';
import { writeError } from '../artifact/files.js';

/** Appends lines to a file and waits until they are on the disk. Throws `io`. */
export async function append(file: string, lines: string): Promise<void> {
  try {
    const handle = await open(file, 'a');
    try {
      await handle.appendFile(lines);
      await handle.sync();
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw writeError(file, error);
  }
}
