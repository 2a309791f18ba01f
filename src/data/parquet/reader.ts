import { startThread, type Thread } from '../../threads/thread.js';
import type { CellSource } from '../sample.js';
import type { ParquetHeader, ParquetRequest, ParquetRow, RowsRequest } from './worker.js';

/** A thread that reads Parquet files. */
export interface ParquetReader {
  open(path: string): Promise<ParquetHeader>;
  /** What the rows of a group hold. */
  index(rows: Omit<RowsRequest, 'kind'>): Promise<ParquetRow[]>;
  /** The bytes of images, in their order; empty where there are none. */
  read(sources: readonly CellSource[]): Promise<Uint8Array[]>;
  close(): Promise<void>;
}

/** Bytes of row groups that stay for the next images; the last one does in any case. */
const mostKept = 2 ** 27;

/** The thread starts with the first request. */
export function createParquetReader(): ParquetReader {
  let thread: Thread<ParquetRequest> | undefined;
  const call = <T>(request: ParquetRequest): Promise<T> => {
    thread ??= startThread<ParquetRequest>({ url: new URL('./worker.js', import.meta.url), name: 'reading Parquet' });
    return thread.call<T>(request);
  };
  /** Images of row groups by place, the ones used last at the end. */
  const groups = new Map<string, Promise<Uint8Array[]>>();
  const sizes = new Map<string, number>();
  const groupOf = ({ path, column, from, to }: CellSource): Promise<Uint8Array[]> => {
    const key = JSON.stringify([path, column, from]);
    const images = groups.get(key) ?? call<Uint8Array[]>({ kind: 'read', path, from, to, image: column });
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
  return {
    open: (path) => call({ kind: 'open', path }),
    index: (rows) => call({ kind: 'index', ...rows }),
    async read(sources) {
      const found: Uint8Array[] = [];
      // A copy: a worker that decodes may take it along.
      for (const source of sources) found.push((await groupOf(source))[source.row - source.from]!.slice());
      return found;
    },
    async close() {
      groups.clear();
      await thread?.end();
    },
  };
}
