import { open, type FileHandle } from 'node:fs/promises';
import { parquetMetadataAsync, type AsyncBuffer, type FileMetaData } from 'hyparquet';
import { readRange } from '../read.js';

/** An open Parquet file, as the library reads it. */
interface Opened {
  readonly path: string;
  readonly handle: FileHandle;
  readonly file: AsyncBuffer;
  readonly metadata: FileMetaData;
}

/** One file at a time is open. */
let opened: Opened | undefined;

/**
 * Opens a Parquet file, or the one that is open already: for threads that are asked for rows of it again
 * and again. Only what is read is in memory. Throws what the system and the library say.
 */
export async function openParquet(path: string): Promise<Pick<Opened, 'file' | 'metadata'>> {
  if (opened?.path === path) return opened;
  await closeParquet();
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
    opened = { path, handle, file, metadata: await parquetMetadataAsync(file) };
    return opened;
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** Closes what is open: the file may have been written anew. */
export async function closeParquet(): Promise<void> {
  await opened?.handle.close();
  opened = undefined;
}
