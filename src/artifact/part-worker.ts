import { open as openFile, type FileHandle } from 'node:fs/promises';
import { parquetMetadataAsync, parquetReadObjects, type AsyncBuffer, type FileMetaData } from 'hyparquet';
import { answer } from '../threads/answer.js';

/** What is asked of a file: its rows from one to another, or (without) what stands beside them. */
export interface PartRequest {
  readonly path: string;
  readonly rows?: { readonly from: number; readonly to: number; readonly columns: readonly string[] } | undefined;
}

/** What stands beside the rows of a file. */
export interface PartTexts {
  readonly texts: Readonly<Record<string, string>>;
  readonly columns: readonly string[];
  /** Rows of each group. */
  readonly groups: readonly number[];
}

interface Opened {
  readonly path: string;
  readonly handle: FileHandle;
  readonly file: AsyncBuffer;
  readonly metadata: FileMetaData;
}
/** One file at a time is open. */
let open: Opened | undefined;

async function opened(path: string): Promise<Opened> {
  if (open?.path === path) return open;
  await close();
  const handle = await openFile(path);
  try {
    const { size } = await handle.stat();
    const file: AsyncBuffer = {
      byteLength: size,
      async slice(start, end = size) {
        const bytes = new Uint8Array(end - start);
        for (let done = 0; done < bytes.length;) {
          const { bytesRead } = await handle.read(bytes, done, bytes.length - done, start + done);
          if (bytesRead === 0) throw new Error('the file ends early');
          done += bytesRead;
        }
        return bytes.buffer;
      },
    };
    return (open = { path, handle, file, metadata: await parquetMetadataAsync(file) });
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function close(): Promise<void> {
  await open?.handle.close();
  open = undefined;
}

/** Reads Parquet files in a thread of its own, for the reasons of `parquet-worker.ts`. */
answer<PartRequest>(async ({ path, rows }) => {
  if (rows === undefined) await close(); // it may have been written anew
  const { file, metadata } = await opened(path);
  if (rows !== undefined)
    return parquetReadObjects({
      file,
      metadata,
      columns: [...rows.columns],
      rowStart: rows.from,
      rowEnd: rows.to,
      utf8: false,
    });
  return {
    texts: Object.fromEntries((metadata.key_value_metadata ?? []).map(({ key, value }) => [key, value ?? ''])),
    columns: metadata.schema.slice(1).map(({ name }) => name),
    groups: metadata.row_groups.map(({ num_rows }) => Number(num_rows)),
  } satisfies PartTexts;
});
