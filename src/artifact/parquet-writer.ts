import { createHash, type Hash } from 'node:crypto';
import type { FileHandle } from 'node:fs/promises';
import type { SchemaElement } from 'hyparquet';

/** `FLOATS` is a list of float32, `BYTE_ARRAY` bytes of any kind. */
export type ParquetType = 'STRING' | 'DOUBLE' | 'INT32' | 'BOOLEAN' | 'BYTE_ARRAY' | 'FLOATS';

export interface ParquetColumn {
  readonly name: string;
  readonly type: ParquetType;
  /** Whether it may be null. */
  readonly nullable?: boolean | undefined;
}

/** A value of a column: of `FLOATS` an array of numbers. */
export type ParquetCell = string | number | boolean | Uint8Array | readonly number[] | null;

/** Bytes of a file that are before the texts, and their SHA-256 so far. */
export interface WrittenBytes {
  readonly count: number;
  readonly hash: Hash;
}

/** Texts by name that stand beside the rows, some of which may tell of the bytes before them. */
export type ParquetTexts =
  Readonly<Record<string, string>> | ((written: WrittenBytes) => Readonly<Record<string, string>>);

/** Writes a Parquet file group by group, so that only one is in memory. */
export interface ParquetFileWriter {
  /** Adds a row group: the cells of each column. */
  add(cells: readonly (readonly ParquetCell[])[]): Promise<void>;
  end(texts?: ParquetTexts): Promise<void>;
}

/** One row: what it holds by column. */
export type ParquetRow = Readonly<Record<string, ParquetCell | undefined>>;

/** Writes a Parquet file row by row. */
export interface ParquetRowWriter {
  add(rows: readonly ParquetRow[]): Promise<void>;
  end(texts?: ParquetTexts): Promise<void>;
}

/** Begins a Parquet file whose groups hold so many rows; they are in memory together. */
export async function createRowWriter(
  handle: FileHandle,
  columns: readonly ParquetColumn[],
  together: number,
): Promise<ParquetRowWriter> {
  const writer = await createParquetWriter(handle, columns);
  let pending: ParquetRow[] = [];
  const flush = async (): Promise<void> => {
    const rows = pending;
    pending = [];
    await writer.add(columns.map(({ name }) => rows.map((row) => row[name] ?? null)));
  };
  return {
    async add(rows) {
      for (const row of rows) if (pending.push(row) === together) await flush();
    },
    async end(texts) {
      await flush();
      await writer.end(texts);
    },
  };
}

/** Numbers that hardly shrink: compression would only take time. */
const isDense = (type: ParquetType): boolean => type === 'BYTE_ARRAY' || type === 'FLOATS';

function elementsOf({ name, type, nullable = false }: ParquetColumn): SchemaElement[] {
  const repetition_type = nullable ? 'OPTIONAL' : 'REQUIRED';
  if (type === 'STRING') return [{ name, type: 'BYTE_ARRAY', converted_type: 'UTF8', repetition_type }];
  if (type !== 'FLOATS') return [{ name, type, repetition_type }];
  return [
    { name, repetition_type, num_children: 1, converted_type: 'LIST' },
    { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
    { name: 'element', type: 'FLOAT', repetition_type: 'REQUIRED' },
  ];
}

/** Begins a Parquet file in an open, empty file. */
export async function createParquetWriter(
  handle: FileHandle,
  columns: readonly ParquetColumn[],
): Promise<ParquetFileWriter> {
  const { ByteWriter, ParquetWriter } = await import('hyparquet-writer');
  const bytes = new ByteWriter() as InstanceType<typeof ByteWriter> & { index: number };
  const schema = [{ name: 'root', num_children: columns.length }, ...columns.flatMap(elementsOf)];
  const writer = new ParquetWriter({ writer: bytes, schema });
  const hash = createHash('sha256');
  let count = 0;
  const flush = async (): Promise<void> => {
    const written = bytes.getBytes();
    hash.update(written);
    count += written.length;
    for (let done = 0; done < written.length;) done += (await handle.write(written, done)).bytesWritten;
    bytes.index = 0; // the library's offset goes on
  };
  return {
    async add(cells) {
      if (cells[0]!.length === 0) return;
      await writer.write({
        rowGroupSize: cells[0]!.length,
        columnData: columns.map(({ name, type }, i) => ({
          name,
          data: cells[i] as unknown[],
          ...(isDense(type)
            ? { codec: 'UNCOMPRESSED' as const, encoding: 'PLAIN' as const, statistics: false, offsetIndex: false }
            : {}),
        })),
      });
      await flush();
    },
    async end(texts = {}) {
      const told = typeof texts === 'function' ? texts({ count, hash: hash.copy() }) : texts;
      const pairs = Object.entries(told).map(([key, value]) => ({ key, value }));
      if (pairs.length > 0) writer.kvMetadata = pairs;
      await writer.finish();
      await flush();
    },
  };
}
