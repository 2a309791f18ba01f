import { basename } from 'node:path';
import { PupilError } from '../errors.js';
import { isRemote, shownAddress } from '../http/address.js';
import { splitsAmong } from './layout.js';
import { scanRemoteTar } from './remote/archive.js';
import { inParallel, type Scan } from './scan.js';
import type { SkipOptions } from './skipping.js';
import { scanTar, shardName } from './tar.js';

/** Archives that are read at a time: here, and from hosts. */
const lanes = 8,
  remoteLanes = 4;

export interface ArchiveOptions extends SkipOptions {
  readonly signal?: AbortSignal | undefined;
}

/**
 * Indexes several archives as one tree. Archives named by a split (train-0000.tar, val.tar) are
 * that split's tree.
 */
export async function scanTars(paths: readonly string[], { signal, skip }: ArchiveOptions = {}): Promise<Scan> {
  const salvage = skip !== undefined;
  const scan = (path: string): Promise<Scan> =>
    isRemote(path) ? scanRemoteTar(path, { signal }, salvage) : scanTar(path, salvage);
  const scans = await inParallel(paths, paths.some(isRemote) ? remoteLanes : lanes, (path) =>
    salvage ? scan(path).catch((error: unknown) => withoutArchive(path, error)) : scan(path),
  );
  const damaged = scans.flatMap((scan) => scan.damaged ?? []);
  const names = paths.map((path) => basename(isRemote(path) ? shownAddress(path) : path));
  const prefixes = names.map((name) => shardName.exec(name)?.[1] ?? name.replace(/\.tar$/i, ''));
  const splits = splitsAmong([...new Set(prefixes)]);
  if (!prefixes.every((prefix) => splits.has(prefix))) {
    return {
      entries: scans.flatMap(({ entries }) => entries),
      folders: [...new Set(scans.flatMap(({ folders }) => folders))],
      damaged,
    };
  }
  const under = (prefix: string, name: string): string =>
    name === prefix || name.startsWith(`${prefix}/`) ? name : `${prefix}/${name}`;
  return {
    entries: scans.flatMap(({ entries }, i) =>
      entries.map((entry) => ({ ...entry, name: under(prefixes[i]!, entry.name) })),
    ),
    folders: [
      ...new Set(
        scans.flatMap(({ folders }, i) => [prefixes[i]!, ...folders.map((name) => under(prefixes[i]!, name))]),
      ),
    ],
    damaged,
  };
}

/** What there is of an archive that is wrong as a whole: its name. */
function withoutArchive(path: string, error: unknown): Scan {
  if (!(error instanceof PupilError) || error.code !== 'bad-data') throw error;
  const shown = isRemote(path) ? shownAddress(path) : path;
  return { entries: [], folders: [], damaged: [{ path: shown, reason: error.message.replace(`${shown}: `, '') }] };
}
