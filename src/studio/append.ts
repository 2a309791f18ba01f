import { open } from 'node:fs/promises';
import { writeError } from '../artifact/files.js';

/**
 * Appends lines to a file and waits until they are on the disk. Throws `io`; what was written of them by then is taken
 * away, for what is appended next would go on in the middle of a line.
 */
export async function append(file: string, lines: string): Promise<void> {
  try {
    const handle = await open(file, 'a');
    const { size } = await handle.stat();
    try {
      const bytes = Buffer.from(lines);
      for (let done = 0; done < bytes.length;) done += (await handle.write(bytes, done)).bytesWritten;
      await handle.sync();
    } catch (error) {
      await handle.truncate(size).catch(() => undefined);
      throw error;
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw writeError(file, error);
  }
}
