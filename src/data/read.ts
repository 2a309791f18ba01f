import { createHash } from 'node:crypto';
import { open, readFile, type FileHandle } from 'node:fs/promises';
import { PupilError } from '../errors.js';
import type { Source } from './sample.js';

/** Reads sources; an archive stays open from its first use until `close`. */
export interface Reader {
  /** The bytes of a file or of a part of one. Throws `bad-data`, naming `where`, when they cannot be read. */
  read(source: Exclude<Source, { kind: 'pixels' }>, where: string): Promise<Uint8Array>;
  close(): Promise<void>;
}

export function createReader(): Reader {
  const archives = new Map<string, Promise<FileHandle>>();
  const archive = (path: string): Promise<FileHandle> => {
    let handle = archives.get(path);
    if (handle === undefined) archives.set(path, handle = open(path));
    return handle;
  };
  return {
    async read(source, where) {
      try {
        if (source.kind === 'file') return await readFile(source.path);
        const file = await archive(source.path);
        const bytes = new Uint8Array(source.length);
        for (let done = 0; done < bytes.length;) {
          const { bytesRead } = await file.read(bytes, done, bytes.length - done, source.offset + done);
          if (bytesRead === 0) throw new Error(`the archive ends early, at byte ${source.offset + done}`);
          done += bytesRead;
        }
        return bytes;
      } catch (error) {
        throw new PupilError('bad-data', `${where}: cannot be read (${reasonOf(error)})`, { cause: error });
      }
    },
    async close() {
      const handles = await Promise.allSettled(archives.values());
      archives.clear();
      await Promise.all(handles.map(async (handle) => { if (handle.status === 'fulfilled') await handle.value.close(); }));
    },
  };
}

/** The bytes of one file or part of one. Throws `bad-data`, naming `where`, when they cannot be read. */
export async function readSource(source: Exclude<Source, { kind: 'pixels' }>, where: string): Promise<Uint8Array> {
  const reader = createReader();
  try {
    return await reader.read(source, where);
  } finally {
    await reader.close();
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
