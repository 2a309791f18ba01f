/** Archives on hosts: indexed once, kept in the cache where they fit, and else read from their host again. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { PupilError } from '../../errors.js';
import { shownAddress } from '../../http/address.js';
import { describeRemote, readRemote, type RemoteFile, type RemoteOptions } from '../../http/remote-file.js';
import type { Scan } from '../scan.js';
import { indexTar, type TarInput } from '../tar.js';
import { startHash, statedChecksum, type Checksum } from './checksums.js';
import { readKept, writeKept } from './kept-index.js';
import { defaultShardCache, findShard, keepShard, wrongChecksum } from './shard-cache.js';

/** An archive of a host that was opened. */
export interface RemoteArchive {
  readonly file: RemoteFile;
  /** Where it is kept whole, if it is; another process may remove it. */
  readonly local: string | undefined;
}

/** Of this process, by address. */
const opened = new Map<string, RemoteArchive>();

/** The archive at an address, which was opened before or is described anew. */
export async function archiveAt(address: string, options: RemoteOptions = {}): Promise<RemoteArchive> {
  const known = opened.get(address);
  if (known !== undefined) return known;
  const archive = { file: await describeRemote(address, options), local: undefined };
  opened.set(address, archive);
  return archive;
}

/** Lists of checksums that were fetched, by address. */
const lists = new Map<string, Promise<string | undefined>>();

/**
 * Indexes an archive on a host: `scanTar`, by its address. The index is kept in the cache folder, and the archive
 * as far as PUPIL_SHARD_CACHE allows. Throws `usage`, `not-found`, `network`, `interrupted`, and `bad-data` for
 * one that is damaged.
 */
export async function scanRemoteTar(address: string, options: RemoteOptions = {}, salvage = false): Promise<Scan> {
  assertAddress(address);
  const cache = defaultShardCache();
  const file = await describeRemote(address, options);
  const base = join(cache.folder, keyOf(file));
  const index = `${base}.json`;
  const known = file.version === undefined ? undefined : await readIndex(index, address);
  const { size } = file;
  const path = `${base}.tar`;
  if (known !== undefined) {
    // Its images are read one by one where it was not kept: not all of them may be wanted.
    opened.set(address, { file, local: size === undefined ? undefined : await findShard(path, size) });
    return known;
  }
  const checksum = await statedChecksum(file, lists, options);
  const local =
    size === undefined ? undefined : await keepShard(path, { ...file, size }, cache.limit, checksum, options);
  opened.set(address, { file, local });
  const scan = await indexTar(local === undefined ? streamed(file, checksum, options) : kept(file, local), salvage);
  if (scan.damaged?.length === 0) await writeIndex(index, scan);
  return scan;
}

/** Throws `usage` for what is no address of an archive or Parquet file, or has a password in it. */
export function assertAddress(address: string): void {
  const shown = shownAddress(address);
  if (!URL.canParse(address)) throw new PupilError('usage', `${shown}: not an address`);
  const { username, password, pathname } = new URL(address);
  // It would stand in run.json and in reports.
  if (username !== '' || password !== '')
    throw new PupilError('usage', `${address.replace(/\/\/.*@/, '//')}: give the address without a password`);
  if (/\.(tgz|tar\.\w+|zip)$/i.test(pathname))
    throw new PupilError('unsupported', `${shown}: compressed archives are not read; put a plain .tar there`);
  if (!/\.(tar|parquet)$/i.test(pathname))
    throw new PupilError(
      'usage',
      `${shown}: of a host .tar archives and .parquet files are read, such as https://HOST/x-{000..127}.tar`,
    );
}

/** Names the content of a file: where it is, and its version. */
export const keyOf = ({ address, version, size }: RemoteFile): string =>
  createHash('sha256')
    .update(JSON.stringify([version === undefined ? address : shownAddress(address), version, size]))
    .digest('hex')
    .slice(0, 32);

const sourceIn =
  ({ address }: RemoteFile): TarInput['sourceOf'] =>
  ({ offset, length, hash }) => ({ kind: 'remote', address, offset, length, hash });

/** The bytes of an archive in the cache. */
function kept(file: RemoteFile, local: string): TarInput {
  return {
    path: file.shown,
    open: (start) => createReadStream(local, { start, highWaterMark: 2 ** 20 }),
    size: () => Promise.resolve(file.size),
    sourceOf: sourceIn(file),
  };
}

/** The bytes of an archive as they come, its checksum compared at the end where nothing was passed over. */
function streamed(file: RemoteFile, checksum: Checksum | undefined, options: RemoteOptions): TarInput {
  return {
    path: file.shown,
    async *open(start) {
      const hash = checksum !== undefined && start === 0 ? startHash(checksum) : undefined;
      for await (const chunk of readRemote(file, { start }, options)) {
        hash?.update(chunk);
        yield chunk;
      }
      const digest = hash?.digest('hex');
      if (digest !== undefined && digest !== checksum!.digest) throw wrongChecksum(file, checksum!, digest);
    },
    size: () => Promise.resolve(file.size),
    sourceOf: sourceIn(file),
  };
}

/** Changes with what an index holds. */
const indexVersion = 2;

async function readIndex(path: string, address: string): Promise<Scan | undefined> {
  const scan = await readKept<Scan>(path, indexVersion);
  // The address may have another query now.
  return scan && withAddress(scan, address);
}

// An address may hold a signature.
const writeIndex = (path: string, scan: Scan): Promise<void> => writeKept(path, indexVersion, withAddress(scan, ''));

const withAddress = (scan: Scan, address: string): Scan => ({
  ...scan,
  entries: scan.entries.map((entry) =>
    entry.source.kind === 'remote' ? { ...entry, source: { ...entry.source, address } } : entry,
  ),
});
