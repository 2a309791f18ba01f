import { createHash } from 'node:crypto';
import { closeSync, openSync, readFileSync, readSync, statSync } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { PupilError } from '../errors.js';
import type { LocalSource } from './sample.js';

/**
 * Reads sources; an archive stays open from its first use until `close`. Reading blocks its thread,
 * which is a worker's: through the thread pool a small file takes ten times as long.
 */
export interface Reader {
  /**
   * The bytes of a file or of a part of one. Throws `bad-data`, naming `where`, when they cannot be
   * read.
   */
  read(source: LocalSource, where: string): Uint8Array;
  /** How many bytes `read` would give; 0 where they cannot be read. */
  size(source: LocalSource): number;
  close(): void;
}

export function createReader(): Reader {
  const archives = new Map<string, number>();
  const archive = (path: string): number => {
    const known = archives.get(path);
    if (known !== undefined) return known;
    const file = openSync(path, 'r');
    archives.set(path, file);
    return file;
  };
  return {
    read(source, where) {
      try {
        if (source.kind === 'bytes') return source.bytes;
        if (source.kind === 'file') return readFileSync(source.path);
        const file = archive(source.path);
        const bytes = new Uint8Array(source.length);
        for (let done = 0; done < bytes.length;) {
          const count = readSync(file, bytes, done, bytes.length - done, source.offset + done);
          if (count === 0) throw new Error(`the archive ends early, at byte ${source.offset + done}`);
          done += count;
        }
        return bytes;
      } catch (error) {
        throw new PupilError('bad-data', `${where}: cannot be read (${reasonOf(error)})`, { cause: error });
      }
    },
    size(source) {
      if (source.kind === 'bytes') return source.bytes.length;
      return source.kind === 'file' ? (statSync(source.path, { throwIfNoEntry: false })?.size ?? 0) : source.length;
    },
    close() {
      for (const file of archives.values()) closeSync(file);
      archives.clear();
    },
  };
}

/** `length` bytes of an open file from `start` on; undefined where it ends before. */
export async function readRange(
  file: FileHandle,
  start: number,
  length: number,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const bytes = new Uint8Array(length);
  for (let done = 0; done < length;) {
    const { bytesRead } = await file.read(bytes, done, length - done, start + done);
    if (bytesRead === 0) return undefined;
    done += bytesRead;
  }
  return bytes;
}

/** One line saying what went wrong; system errors by their plain meaning. */
export function reasonOf(error: unknown): string {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  if (code === 'ENOENT') return 'no such file';
  if (code === 'EACCES' || code === 'EPERM') return 'permission denied';
  if (code === 'EISDIR') return 'it is a folder';
  if (code === 'ENOTDIR') return 'a part of its path is not a folder';
  if (code === 'ENAMETOOLONG') return 'its path is too long for the system';
  if (code === 'ELOOP') return 'links that lead to each other';
  if (code === 'ENXIO') return 'a pipe, socket or device, not a file';
  return (error instanceof Error ? error.message : String(error)).replace(/\s*\n\s*/g, '; ');
}

/** The first 128 bits of SHA-256, hexadecimal. */
export const contentHash = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex').slice(0, 32);

/** `contentHash` of a file, on this thread. Throws `bad-data` where it cannot be read. */
export function hashFile(path: string): string {
  const hash = createHash('sha256');
  try {
    const file = openSync(path, 'r');
    try {
      const piece = new Uint8Array(2 ** 18);
      for (let count = 1; count > 0;) {
        count = readSync(file, piece);
        hash.update(piece.subarray(0, count));
      }
    } finally {
      closeSync(file);
    }
  } catch (error) {
    throw new PupilError('bad-data', `${path}: cannot be read (${reasonOf(error)})`, { cause: error });
  }
  return hash.digest('hex').slice(0, 32);
}

/** `contentHash` of what comes in pieces. */
export async function hashContent(pieces: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash('sha256');
  for await (const piece of pieces) hash.update(piece);
  return hash.digest('hex').slice(0, 32);
}
