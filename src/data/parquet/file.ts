import { open, type FileHandle } from 'node:fs/promises';
import { parquetMetadata, parquetMetadataAsync, type AsyncBuffer, type FileMetaData } from 'hyparquet';
import { readRange } from '../read.js';

/** A Parquet file as the library reads it. */
export interface ParquetFile {
  readonly file: AsyncBuffer;
  readonly metadata: FileMetaData;
}

/** An open file of this machine. */
interface Opened extends ParquetFile {
  readonly handle: FileHandle;
}

/** What is at hand of a file elsewhere: its footer first, and what is to be read of it. */
export interface FileParts {
  /** Bytes of the whole file. */
  readonly size: number;
  readonly parts: readonly { readonly start: number; readonly bytes: Uint8Array<ArrayBuffer> }[];
}

/** Files that are open at a time, by path, the one used last at the end: epochs are read from all over the data. */
const opened = new Map<string, Promise<Opened>>();
const mostOpened = 32;

/**
 * Opens a Parquet file, or one that is open already: for threads that are asked for rows of the same ones
 * again and again. Only what is read is in memory. Throws what the system and the library say.
 */
export async function openParquet(path: string): Promise<ParquetFile> {
  const known = opened.get(path) ?? openAnew(path);
  opened.delete(path);
  opened.set(path, known);
  known.catch(() => opened.delete(path));
  const [oldest] = opened.keys();
  if (opened.size > mostOpened) await close(oldest!);
  return known;
}

async function openAnew(path: string): Promise<Opened> {
  const handle = await open(path);
  try {
    const { size } = await handle.stat();
    const file: AsyncBuffer = {
      byteLength: size,
      async slice(start, end = size) {
        const bytes = await readRange(handle, start, end - start);
        if (bytes === undefined) throw new Error('the file ends early');
        return bytes.buffer;
      },
    };
    return { handle, file, metadata: await parquetMetadataAsync(file) };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function close(path: string): Promise<void> {
  const file = opened.get(path);
  opened.delete(path);
  await file?.then(
    ({ handle }) => handle.close(),
    () => undefined,
  );
}

/** Closes what is open: files may have been written anew. */
export async function closeParquet(): Promise<void> {
  for (const path of [...opened.keys()]) await close(path);
}

/** A file of which only parts are at hand. Throws what the library says, and where more is read than is there. */
export function openParts({ size, parts }: FileParts): ParquetFile {
  const file: AsyncBuffer = {
    byteLength: size,
    slice(start, end = size) {
      const part = parts.find((one) => start >= one.start && end <= one.start + one.bytes.length);
      if (part === undefined) throw new Error(`its footer leads to bytes ${start} to ${end}, outside of the rows`);
      return part.bytes.slice(start - part.start, end - part.start).buffer;
    },
  };
  return { file, metadata: parquetMetadata(parts[0]!.bytes) };
}
