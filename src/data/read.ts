import { createHash } from 'node:crypto';
import { open, readFile } from 'node:fs/promises';
import { PupilError } from '../errors.js';
import type { Source } from './sample.js';

/** The bytes of a file or of a part of one. Throws `bad-data` when they cannot be read. */
export async function readSource(source: Exclude<Source, { kind: 'pixels' }>, where: string): Promise<Uint8Array> {
  try {
    if (source.kind === 'file') return await readFile(source.path);
    const file = await open(source.path);
    try {
      const bytes = new Uint8Array(source.length);
      for (let done = 0; done < bytes.length;) {
        const { bytesRead } = await file.read(bytes, done, bytes.length - done, source.offset + done);
        if (bytesRead === 0) throw new Error(`the archive ends early, at byte ${source.offset + done}`);
        done += bytesRead;
      }
      return bytes;
    } finally {
      await file.close();
    }
  } catch (error) {
    throw new PupilError('bad-data', `${where}: cannot be read (${reasonOf(error)})`, { cause: error });
  }
}

/** One line saying what went wrong; system errors by their plain meaning. */
export function reasonOf(error: unknown): string {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  if (code === 'ENOENT') return 'no such file';
  if (code === 'EACCES' || code === 'EPERM') return 'permission denied';
  if (code === 'EISDIR') return 'it is a folder';
  if (code === 'ENOTDIR') return 'a part of its path is not a folder';
  return (error instanceof Error ? error.message : String(error)).replace(/\s*\n\s*/g, '; ');
}

/** The first 128 bits of SHA-256, hexadecimal. */
export const contentHash = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex').slice(0, 32);
