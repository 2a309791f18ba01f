/** Parquet files on hosts, each opened once, for a thread that is handed their bytes. */
import { PupilError } from '../../errors.js';
import { shownAddress } from '../../http/address.js';
import type { RemoteFile, RemoteOptions } from '../../http/remote-file.js';
import { openRemoteTable, type RemoteTable } from './remote.js';
import type { ParquetHeader, ParquetRequest, RowGroup, RowsRequest } from './worker.js';

export interface TableReading extends Pick<RemoteOptions, 'signal' | 'limits'> {
  /** Files are indexed: their checksums will be compared. */
  readonly isVerified?: boolean | undefined;
}

/** Where some rows are. */
type RowsPlace = Pick<RowsRequest, 'path' | 'from'>;

export interface RemoteTables {
  describe(address: string): Promise<RemoteFile>;
  header(address: string): Promise<ParquetHeader>;
  /** What the thread says of a group of rows. */
  rows<T>(request: RowsRequest): Promise<T>;
  /** Drops what is kept of a group of rows. */
  forget(place: RowsPlace): Promise<void>;
  /** Compares the checksum of a file, all of whose groups were read. Throws `bad-data`. */
  verify(address: string): Promise<void>;
  close(): void;
}

/** `call`: asks the thread. */
export function createRemoteTables(
  call: <T>(request: ParquetRequest) => Promise<T>,
  { isVerified = false, signal, limits }: TableReading,
): RemoteTables {
  const closed = new AbortController();
  const fetching = {
    limits,
    isVerified,
    signal: signal === undefined ? closed.signal : AbortSignal.any([signal, closed.signal]),
  };
  const tables = new Map<string, Promise<RemoteTable>>(),
    headers = new Map<string, Promise<ParquetHeader>>();
  const tableAt = (address: string): Promise<RemoteTable> =>
    remembered(tables, address, () => openRemoteTable(address, fetching));
  const readHeader = async (address: string): Promise<ParquetHeader> => {
    const table = await tableAt(address);
    const open = async (): Promise<ParquetHeader> =>
      call<ParquetHeader>({ kind: 'open', path: address, parts: await table.parts() });
    return again(open, () => table.forgetFooter());
  };
  const headerAt = (address: string): Promise<ParquetHeader> => remembered(headers, address, () => readHeader(address));
  return {
    describe: async (address) => (await tableAt(address)).file,
    header: headerAt,
    async rows<T>(request: RowsRequest) {
      const table = await tableAt(request.path);
      const group = groupAt(await headerAt(request.path), request);
      const read = async (): Promise<T> => call<T>({ ...request, parts: await table.parts(group) });
      return again(read, () => table.forget(group));
    },
    async forget(place) {
      await (await tableAt(place.path)).forget(groupAt(await headerAt(place.path), place));
    },
    async verify(address) {
      await (await tableAt(address)).verify((await headerAt(address)).groups);
    },
    close() {
      closed.abort();
      for (const table of tables.values())
        table.then(
          (opened) => opened.close(),
          () => undefined,
        );
    },
  };
}

/** The group that some rows are. */
function groupAt(
  { groups }: ParquetHeader,
  { path, from }: { readonly path: string; readonly from: number },
): RowGroup {
  let row = 0;
  for (const group of groups) {
    if (row === from) return group;
    row += group.rows;
  }
  throw changed(path);
}

/** The error where a file is not what was indexed. */
export const changed = (address: string): PupilError =>
  new PupilError(
    'network',
    `${shownAddress(address)}: changed on its host after it was indexed; run the same command again`,
  );

/** Does something once more where it fails, though not for want of a host: what came may be damaged. */
async function again<T>(work: () => Promise<T>, forget: () => Promise<void>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof PupilError) throw error;
    await forget();
    return work();
  }
}

/** What is made once for a key; again after an error. */
function remembered<T>(known: Map<string, Promise<T>>, key: string, make: () => Promise<T>): Promise<T> {
  const made = known.get(key) ?? make();
  known.set(key, made);
  made.catch(() => known.delete(key));
  return made;
}
