/** Pieces of files on hosts: asked for by range, and kept in the cache folder as far as there is room. */
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { readRemote, type RemoteFile, type RemoteOptions } from '../../http/remote-file.js';
import { keyOf } from './archive.js';
import type { Checksum } from './checksums.js';
import { collect, createStream, readLocal, type Stream } from './fetch.js';
import { defaultShardCache, findShard, keepBytes, keepShard } from './shard-cache.js';

/** Bytes `start` to `end` (not included) of a file. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** A file that is read piece by piece. */
export interface PiecedFile {
  /** A piece: as it was kept, else from the host. Throws `network`, `not-found` or `interrupted`. */
  read(range: ByteRange): Promise<Uint8Array<ArrayBuffer>>;
  /** Drops what is kept of a piece that turned out to be damaged. */
  forget(range: ByteRange): Promise<void>;
  close(): void;
}

/**
 * Reads a file of a host piece by piece. One of a host that gives no parts is kept whole where there is room, else
 * read from its first byte on, and again for what lies before. What has no version is not kept: nothing tells whether
 * it was replaced. `stated`: the checksum of the whole file, compared where that is kept.
 */
export function readInPieces(
  file: RemoteFile & { readonly size: number },
  { stated, ...options }: RemoteOptions & { readonly stated: () => Promise<Checksum | undefined> },
): PiecedFile {
  const { folder, limit } = defaultShardCache();
  const base = join(folder, keyOf(file));
  const whole = `${base}.whole`;
  const pathOf = ({ start, end }: ByteRange): string => `${base}-${start}-${end}.piece`;
  const isKept = file.version !== undefined;
  let stream: Stream | undefined, keeping: Promise<string | undefined> | undefined;

  const fromWhole = async (range: ByteRange): Promise<Uint8Array<ArrayBuffer>> => {
    keeping ??= isKept
      ? stated().then((checksum) => keepShard(whole, file, limit, checksum, options))
      : Promise.resolve(undefined);
    const kept = await keeping.catch((error: unknown) => {
      keeping = undefined;
      throw error;
    });
    const found = kept === undefined ? undefined : await readLocal(kept, range);
    stream ??= createStream({ file }, options);
    return found ?? stream.read(range);
  };
  return {
    async read(range) {
      if (!file.hasRanges) return fromWhole(range);
      const path = pathOf(range),
        length = range.end - range.start;
      const found = isKept ? await findShard(path, length) : undefined;
      const known = found === undefined ? undefined : await readFile(found).catch(() => undefined);
      if (known?.length === length) return new Uint8Array(known);
      const bytes = await collect(readRemote(file, range, options), range);
      if (isKept) await keepBytes(path, bytes, limit);
      return bytes;
    },
    async forget(range) {
      keeping = undefined;
      await rm(file.hasRanges ? pathOf(range) : whole, { force: true }).catch(() => undefined);
    },
    close: () => stream?.close(),
  };
}
