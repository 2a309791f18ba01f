import type { RemoteFile } from '../../http/remote-file.js';
import { startThread, type Thread } from '../../threads/thread.js';
import { contentHash } from '../read.js';
import { isRemote } from '../../http/address.js';
import type { CellSource } from '../sample.js';
import { changed, createRemoteTables, type TableReading } from './tables.js';
import type { ParquetHeader, ParquetRequest, ParquetRow, RowsRequest } from './worker.js';

/** A thread that reads Parquet files, and what fetches those of hosts for it. */
export interface ParquetReader {
  /** What a file says of itself. One that was opened before is not looked at again. */
  open(path: string): Promise<ParquetHeader>;
  /** What a host says of a file. */
  describe(address: string): Promise<RemoteFile>;
  /** What the rows of a group hold. */
  index(rows: Omit<RowsRequest, 'kind' | 'parts'>): Promise<ParquetRow[]>;
  /** Compares the checksum of a file on a host, all of whose groups were indexed. Throws `bad-data`. */
  verify(path: string): Promise<void>;
  /** The bytes of images, in their order; empty where there are none. */
  read(sources: readonly CellSource[]): Promise<Uint8Array[]>;
  close(): Promise<void>;
}

/** Bytes of row groups that stay for the next images; the last one does in any case. */
const mostKept = 2 ** 27;

/** The thread starts with the first request. */
export function createParquetReader(options: TableReading = {}): ParquetReader {
  let thread: Thread<ParquetRequest> | undefined;
  const call = <T>(request: ParquetRequest): Promise<T> => {
    thread ??= startThread<ParquetRequest>({ url: new URL('./worker.js', import.meta.url), name: 'reading Parquet' });
    return thread.call<T>(request);
  };
  const tables = createRemoteTables(call, options);
  const rowsOf = <T>(request: RowsRequest): Promise<T> =>
    isRemote(request.path) ? tables.rows<T>(request) : call<T>(request);
  /** Images of row groups by place, the ones used last at the end. */
  const groups = new Map<string, Promise<Uint8Array[]>>();
  const sizes = new Map<string, number>();
  const keyOf = ({ path, column, from }: CellSource): string => JSON.stringify([path, column, from]);
  const groupOf = (source: CellSource): Promise<Uint8Array[]> => {
    const key = keyOf(source);
    const { path, column, from, to } = source;
    const images = groups.get(key) ?? rowsOf<Uint8Array[]>({ kind: 'read', path, from, to, image: column });
    groups.delete(key);
    groups.set(key, images);
    images.then(
      (all) =>
        sizes.set(
          key,
          all.reduce((sum, { length }) => sum + length, 0),
        ),
      () => groups.delete(key),
    );
    let kept = 0;
    for (const older of [...groups.keys()].reverse()) {
      kept += sizes.get(older) ?? 0;
      if (kept <= mostKept || older === key) continue;
      groups.delete(older);
      sizes.delete(older);
    }
    return images;
  };
  const imageAt = async (source: CellSource): Promise<Uint8Array> => {
    // A copy: a worker that decodes may take it along.
    const bytes = (await groupOf(source))[source.row - source.from]!.slice();
    if (source.hash === undefined || contentHash(bytes) === source.hash) return bytes;
    groups.delete(keyOf(source));
    await tables.forget(source);
    throw changed(source.path);
  };
  return {
    open: (path) => (isRemote(path) ? tables.header(path) : call({ kind: 'open', path })),
    describe: tables.describe,
    index: (rows) => rowsOf({ kind: 'index', ...rows }),
    async verify(path) {
      if (isRemote(path)) await tables.verify(path);
    },
    async read(sources) {
      const found: Uint8Array[] = [];
      for (const source of sources) found.push(await imageAt(source));
      return found;
    },
    async close() {
      tables.close();
      groups.clear();
      await thread?.end();
    },
  };
}
