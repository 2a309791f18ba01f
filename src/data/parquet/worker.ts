/**
 * Reads Parquet files in a thread of its own: the library rejects promises that nobody waits for, and unpacks on the
 * calling thread. Only the rows that are asked for are in memory, a row group at most.
 */
import * as zlib from 'node:zlib';
import { parquetReadObjects, parquetSchema, type FileMetaData } from 'hyparquet';
import { answer } from '../../threads/answer.js';
import { imageFormat } from '../../image/format.js';
import { contentHash } from '../read.js';
import { openParquet, openParts, type FileParts } from './file.js';

/** Rows `from` to `to` (not included) of a file. */
export interface RowsRequest {
  readonly kind: 'index' | 'read';
  readonly path: string;
  /** Its bytes, where it is not on this machine. */
  readonly parts?: FileParts | undefined;
  readonly from: number;
  readonly to: number;
  /** The column of images. */
  readonly image: string;
  readonly label?: string | undefined;
}

export type ParquetRequest =
  { readonly kind: 'open'; readonly path: string; readonly parts?: FileParts | undefined } | RowsRequest;

/** Rows that are read together. */
export interface RowGroup {
  readonly rows: number;
  /** Bytes of the file from the end of the group before, or the first byte, to its own end (not included). */
  readonly start: number;
  readonly end: number;
}

/** What a file says of itself. */
export interface ParquetHeader {
  readonly groups: readonly RowGroup[];
  readonly columns: readonly {
    readonly name: string;
    /** Whether its cells may be images: bytes, or a struct {bytes, path}. */
    readonly mayBeImage: boolean;
  }[];
  /** Hugging Face's description of the columns, as JSON. */
  readonly description: string | undefined;
}

/** One row: what is known of its image without its bytes. */
export interface ParquetRow {
  readonly hash: string;
  readonly format: string;
  readonly bytes: number;
  readonly problem: string | undefined;
  readonly label: string | number | undefined;
}

/** Compressions beside Snappy; Node before 22.15 has no Zstandard. */
const { zstdDecompressSync } = zlib as { zstdDecompressSync?: (bytes: Uint8Array) => Uint8Array };
const compressors = {
  GZIP: (bytes: Uint8Array): Uint8Array => zlib.gunzipSync(bytes),
  BROTLI: (bytes: Uint8Array): Uint8Array => zlib.brotliDecompressSync(bytes),
  ZSTD(bytes: Uint8Array): Uint8Array {
    if (zstdDecompressSync === undefined)
      throw new Error('Zstandard is read by Node 22.15 and later, with this one take Snappy or gzip');
    return zstdDecompressSync(bytes);
  },
};

function headerOf(metadata: FileMetaData): ParquetHeader {
  const isBytes = ({ type, converted_type, logical_type }: (typeof metadata.schema)[number]): boolean =>
    type === 'BYTE_ARRAY' && converted_type === undefined && logical_type === undefined;
  return {
    groups: groupsOf(metadata),
    columns: parquetSchema(metadata).children.map(({ element, children }) => ({
      name: element.name,
      mayBeImage:
        isBytes(element) || children.some((child) => child.element.name === 'bytes' && isBytes(child.element)),
    })),
    description: metadata.key_value_metadata?.find(({ key }) => key === 'huggingface')?.value,
  };
}

function groupsOf({ row_groups: groups }: FileMetaData): RowGroup[] {
  let start = 0;
  return groups.map(({ num_rows: rows, columns }) => {
    const ends = columns.flatMap(({ meta_data: chunk }) =>
      chunk === undefined
        ? []
        : [Number((chunk.dictionary_page_offset || chunk.data_page_offset) + chunk.total_compressed_size)],
    );
    const group = { rows: Number(rows), start, end: Math.max(start, ...ends) };
    start = group.end;
    return group;
  });
}

/** The bytes of a cell; undefined where there are none. */
function bytesIn(cell: unknown): Uint8Array | undefined {
  const bytes: unknown = cell instanceof Uint8Array ? cell : (cell as { bytes?: unknown } | null | undefined)?.bytes;
  return bytes instanceof Uint8Array && bytes.length > 0 ? bytes : undefined;
}

function describe(cell: unknown, label: unknown): ParquetRow {
  const bytes = bytesIn(cell);
  const known = typeof label === 'bigint' ? Number(label) : label;
  const own = { label: typeof known === 'string' || typeof known === 'number' ? known : undefined };
  if (bytes === undefined) {
    const path = (cell as { path?: unknown } | null | undefined)?.path;
    const problem =
      typeof path === 'string' ? `the image is not in the file, only its path (${path})` : 'the row has no image';
    return { hash: '', format: 'empty', bytes: 0, problem, ...own };
  }
  const format = imageFormat(bytes.subarray(0, 64));
  const problem = format.readable ? undefined : format.problem;
  return { hash: contentHash(bytes), format: format.name, bytes: bytes.length, problem, ...own };
}

answer<ParquetRequest>(async (request, transfer) => {
  const { file, metadata } = request.parts ? openParts(request.parts) : await openParquet(request.path);
  if (request.kind === 'open') return headerOf(metadata);
  const { kind, from, to, image, label } = request;
  const rows = await parquetReadObjects({
    file,
    metadata,
    columns: label === undefined ? [image] : [image, label],
    rowStart: from,
    rowEnd: to,
    utf8: false,
    compressors,
  });
  if (kind === 'index') return rows.map((row) => describe(row[image], label === undefined ? undefined : row[label]));
  return rows.map((row) => {
    const own = new Uint8Array(bytesIn(row[image]) ?? []);
    transfer.push(own.buffer);
    return own;
  });
});
