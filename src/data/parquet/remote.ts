/** Parquet files on hosts: their footers and groups of rows, read by ranges. */
import type { Hash } from 'node:crypto';
import { PupilError } from '../../errors.js';
import { describeRemote, type RemoteFile, type RemoteOptions } from '../../http/remote-file.js';
import { assertAddress } from '../remote/archive.js';
import { startHash, statedChecksum, type Checksum } from '../remote/checksums.js';
import { readInPieces, type ByteRange } from '../remote/pieces.js';
import { wrongChecksum } from '../remote/shard-cache.js';
import type { FileParts } from './file.js';

/** A Parquet file on a host. */
export interface RemoteTable {
  readonly file: RemoteFile;
  /** Its footer alone, or with a piece: what a thread needs to read it. */
  parts(piece?: ByteRange): Promise<FileParts>;
  /** Drops what is kept of a piece that turned out to be damaged. */
  forget(piece: ByteRange): Promise<void>;
  forgetFooter(): Promise<void>;
  /**
   * Compares the checksum that the host states, if it does, when all `pieces` were read, which have to follow on each
   * other from the first byte on. Throws `bad-data`, and drops what is kept.
   */
  verify(pieces: readonly ByteRange[]): Promise<void>;
  close(): void;
}

/** Bytes that are read of a file's end at first: more than most footers take. */
const usualFooter = 2 ** 16;

/** Lists of checksums that were fetched, by address. */
const lists = new Map<string, Promise<string | undefined>>();

/**
 * Opens a file at an address; `isVerified`: it will be read whole, and its checksum compared. Throws `usage`,
 * `not-found`, `network`, `interrupted`, and `unsupported` where its size is unknown.
 */
export async function openRemoteTable(
  address: string,
  { isVerified, ...options }: RemoteOptions & { readonly isVerified: boolean },
): Promise<RemoteTable> {
  assertAddress(address);
  const file = await describeRemote(address, options);
  const { size, shown, hasRanges } = file;
  if (size === undefined)
    throw new PupilError('unsupported', `${shown}: its host does not tell its size; download it first`);
  let asked: Promise<Checksum | undefined> | undefined;
  const stated = (): Promise<Checksum | undefined> =>
    (asked ??= isVerified ? statedChecksum(file, lists, options) : Promise.resolve(undefined));
  // A host that gives no parts sends the whole file, whose checksum is compared where it is kept.
  const pieces = readInPieces({ ...file, size }, { ...options, stated });
  let footer: Promise<Uint8Array<ArrayBuffer>> | undefined;
  const tail = { start: Math.max(0, size - usualFooter), end: size };
  const readFooter = async (): Promise<Uint8Array<ArrayBuffer>> => {
    const bytes = await pieces.read(tail);
    const length = footerLength(bytes);
    if (length === undefined || length > size) throw new Error('it does not end as Parquet does');
    if (length <= bytes.length) return bytes.slice(bytes.length - length);
    const before = await pieces.read({ start: size - length, end: tail.start });
    return new Uint8Array(Buffer.concat([before, bytes]));
  };
  let hash: Hash | undefined,
    hashed = 0;
  const add = (start: number, bytes: Uint8Array): void => {
    if (start !== hashed) return;
    hash?.update(bytes);
    hashed += bytes.length;
  };
  return {
    file,
    async parts(piece) {
      footer ??= readFooter();
      const end = await footer.catch((error: unknown) => {
        footer = undefined;
        throw error;
      });
      const parts = [{ start: size - end.length, bytes: end }];
      if (piece === undefined) return { size, parts };
      const bytes = await pieces.read(piece);
      const checksum = hasRanges ? await stated() : undefined;
      hash ??= checksum && startHash(checksum);
      add(piece.start, bytes);
      return { size, parts: [...parts, { start: piece.start, bytes }] };
    },
    async forget(piece) {
      await pieces.forget(piece);
      if (piece.start >= hashed) return;
      // What was damaged on its way is in the hash: all is read once more for it.
      hash = undefined;
      hashed = 0;
    },
    async forgetFooter() {
      footer = undefined;
      await pieces.forget(tail);
    },
    async verify(groups) {
      const checksum = hasRanges ? await stated() : undefined;
      if (checksum === undefined) return;
      hash ??= startHash(checksum);
      const all = [...groups, { start: groups.at(-1)?.end ?? 0, end: size }];
      for (const piece of all) if (piece.start >= hashed) add(piece.start, await pieces.read(piece));
      const digest = hash.digest('hex');
      hash = undefined;
      hashed = 0;
      if (digest === checksum.digest) return;
      for (const piece of all) await pieces.forget(piece);
      throw wrongChecksum(file, checksum, digest);
    },
    close: () => pieces.close(),
  };
}

/** Bytes of a footer with its length and mark, by the last eight; undefined where they are no end of Parquet. */
function footerLength(tail: Uint8Array): number | undefined {
  if (tail.length < 12) return undefined;
  const view = new DataView(tail.buffer, tail.byteOffset + tail.length - 8, 8);
  return view.getUint32(4, true) === 0x31524150 ? view.getUint32(0, true) + 8 : undefined;
}
