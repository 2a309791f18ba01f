import { createReadStream } from 'node:fs';
import { open, readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { extract, type Header } from 'tar-stream';
import { PupilError } from '../errors.js';
import { splitOf } from './layout.js';
import { reasonOf } from './read.js';
import { describeBytes, isJunk, type Entry, type Scan } from './scan.js';

const shardName = /^(.*?)[-_.](\d{2,})\.tar$/i;

/**
 * Indexes an archive: every file's place, hash and format; later reads go straight to the place.
 */
export async function scanTar(path: string): Promise<Scan> {
  const entries = new Map<string, Entry>();
  const folders = new Set<string>();
  const reader = extract();
  reader.on('entry', (header, stream, next) => {
    const name = header.name.replace(/^(\.?\/)+/, '').replace(/\/+$/, '');
    const keep = name !== '' && !name.split('/').some(isJunk);
    const chunks: Uint8Array[] = [];
    if (keep && header.type === 'file')
      stream.on('data', (chunk) => {
        chunks.push(chunk as Uint8Array);
      });
    else stream.resume();
    stream.on('error', next);
    stream.on('end', () => {
      if (keep && header.type === 'directory') folders.add(name);
      else if (keep) {
        // An entry appended later replaces an earlier one of the same name.
        entries.delete(name);
        entries.set(name, entryOf(path, name, header, chunks));
      }
      next();
    });
  });
  try {
    const file = await open(path);
    const magic = new Uint8Array(2);
    await file.read(magic, 0, 2, 0).finally(() => file.close());
    if (magic[0] === 0x1f && magic[1] === 0x8b) {
      throw new PupilError(
        'unsupported',
        `${path}: the archive is compressed, so that images cannot be read out of order; decompress it first (gunzip)`,
      );
    }
    await pipeline(createReadStream(path, { highWaterMark: 2 ** 20 }), reader);
  } catch (error) {
    if (error instanceof PupilError) throw error;
    const code = (error as NodeJS.ErrnoException).code;
    if (code !== undefined && code.startsWith('E'))
      throw new PupilError('not-found', `${path}: the archive cannot be read (${reasonOf(error)})`, { cause: error });
    throw new PupilError('bad-data', `${path}: not a whole tar archive (${reasonOf(error)}); make or copy it again`, {
      cause: error,
    });
  }
  for (const name of entries.keys()) {
    for (let slash = name.indexOf('/'); slash >= 0; slash = name.indexOf('/', slash + 1))
      folders.add(name.slice(0, slash));
  }
  return { entries: [...entries.values()].sort((a, b) => (a.name < b.name ? -1 : 1)), folders: [...folders].sort() };
}

function entryOf(archive: string, name: string, header: Header, chunks: readonly Uint8Array[]): Entry {
  const bytes = Buffer.concat(chunks);
  // tar-stream states where an entry's data begins, its type declarations do not.
  const { byteOffset } = header as Header & { readonly byteOffset: number };
  const source = { kind: 'range', path: archive, offset: byteOffset, length: bytes.length } as const;
  const described =
    header.type === 'file'
      ? describeBytes(bytes)
      : {
          hash: '',
          format: 'unreadable',
          bytes: 0,
          problem: `a ${header.type ?? 'special file'} inside an archive; pack the file itself`,
        };
  return { name, path: `${archive}/${name}`, source, ...described };
}

/**
 * The archives that a path stands for: all shards x-0000.tar, x-0001.tar... of the set that a
 * numbered one belongs to, or itself.
 */
export async function shardsOf(path: string): Promise<string[]> {
  const match = shardName.exec(basename(path));
  if (match === null) return [path];
  const names = (await readdir(dirname(path)).catch(() => []))
    .filter((name) => {
      const other = shardName.exec(name);
      return other !== null && other[1] === match[1] && other[2]!.length === match[2]!.length;
    })
    .sort();
  if (!names.includes(basename(path))) return [path];
  assertNoGap(names, dirname(path));
  return names.map((name) => join(dirname(path), name));
}

/** Throws `not-found` when a number is missing between the first and the last shard. */
function assertNoGap(names: readonly string[], folder: string): void {
  const numbers = names.map((name) => Number(shardName.exec(name)![2]));
  for (let i = 1; i < numbers.length; i++) {
    if (numbers[i] !== numbers[i - 1]! + 1) {
      throw new PupilError(
        'not-found',
        `${folder}: between the shards ${names[i - 1]!} and ${names[i]!} at least one is missing`,
      );
    }
  }
}

/**
 * Indexes several archives as one tree. Archives named by a split (train-0000.tar, val.tar) are
 * that split's tree.
 */
export async function scanTars(paths: readonly string[]): Promise<Scan> {
  const scans = await Promise.all(paths.map(scanTar));
  const prefixes = paths.map((path) => shardName.exec(basename(path))?.[1] ?? basename(path).replace(/\.tar$/i, ''));
  if (!prefixes.every((prefix) => splitOf(prefix) !== undefined)) {
    return {
      entries: scans.flatMap(({ entries }) => entries),
      folders: [...new Set(scans.flatMap(({ folders }) => folders))],
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
  };
}
