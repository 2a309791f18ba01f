import { parquetMetadata, parquetReadObjects, parquetSchema } from 'hyparquet';
import { answer } from '../threads/answer.js';
import type { ParquetRows } from './parquet.js';

/**
 * Reads Parquet files in a thread of its own: the library rejects promises that nobody waits for,
 * and takes whatever memory and time a file asks for.
 */
answer<Uint8Array<ArrayBuffer>>(async ({ buffer }): Promise<ParquetRows> => {
  const metadata = parquetMetadata(buffer);
  const names = parquetSchema(metadata).children.map(({ element }) => element.name);
  // Every row has a path of its own.
  if (metadata.num_rows > buffer.byteLength)
    throw new Error(`it says that it has ${metadata.num_rows} rows in ${buffer.byteLength} bytes`);
  const read = names.includes('path') && names.includes('label');
  return { names, rows: read ? await parquetReadObjects({ file: buffer, metadata }) : [] };
});
