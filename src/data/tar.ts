import { createHash } from 'node:crypto';
import { constants, createReadStream, existsSync } from 'node:fs';
import { open, readdir, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { extract, type Header } from 'tar-stream';
import { PupilError } from '../errors.js';
import { imageFormat } from '../image/format.js';
import { reasonOf } from './read.js';
import type { Source, Unreadable } from './sample.js';
import { counted } from './words.js';
import { isNote, longestNote, withoutNotes } from './webdataset.js';
import { isJunk, largestFile, sizeProblem, unusable, type Entry, type Scan } from './scan.js';

export const shardName = /^(.*?)[-_.](\d{2,})\.tar$/i;

/** Longest name of a file in an archive; systems take 4,096 bytes at most. */
const longestName = 4096;

/** Bytes without any file after which no more is looked for: names and zeros between files take less. */
const longestGap = 2 ** 26;

/** The bytes of an archive, wherever they are. */
export interface TarInput {
  /** What users see. */
  readonly path: string;
  /** The bytes from `start` on. */
  open(start: number): AsyncIterable<Uint8Array>;
  /** All of them; undefined where that is not known. */
  size(): Promise<number | undefined>;
  /** Where a file inside it is read later. */
  sourceOf(place: { readonly offset: number; readonly length: number; readonly hash: string }): Source;
}

const localTar = (path: string): TarInput => ({
  path,
  open: (start) => createReadStream(path, { start, highWaterMark: 2 ** 20 }),
  size: async () => (await stat(path)).size,
  sourceOf: ({ offset, length }) => ({ kind: 'range', path, offset, length }),
});

/**
 * Indexes an archive: every file's place, hash and format; later reads go straight to the place.
 * No file is held in memory.
 */
export async function scanTar(path: string, salvage = false): Promise<Scan> {
  await assertFile(path);
  return indexTar(localTar(path), salvage);
}

/**
 * `scanTar` of any bytes. Throws `not-found` and `bad-data`; with `salvage` an archive that is damaged gives what is
 * before the damage.
 */
export async function indexTar(input: TarInput, salvage = false): Promise<Scan> {
  const { path } = input;
  const found: Found = { entries: new Map(), folders: new Set(), notes: new Map() };
  const damaged: Unreadable[] = [];
  try {
    // What is behind a file that is too large is a pass of its own: nobody reads through that.
    for (let start: number | undefined = 0; start !== undefined;) start = await scanFrom(input, start, found);
  } catch (error) {
    if (error instanceof PupilError) throw error;
    const problem = unreadableTar(path, error);
    if (!salvage || problem.code !== 'bad-data') throw problem;
    damaged.push({ path, reason: `damaged after ${counted(found.entries.size, 'file')}: ${reasonOf(error)}` });
  }
  const { entries, folders } = found;
  for (const name of entries.keys()) {
    if (name.length > longestName) continue;
    for (let slash = name.indexOf('/'); slash >= 0; slash = name.indexOf('/', slash + 1))
      folders.add(name.slice(0, slash));
  }
  const files = withoutNotes([...entries.values()], found.notes);
  return { entries: files.sort((a, b) => (a.name < b.name ? -1 : 1)), folders: [...folders].sort(), damaged };
}

function unreadableTar(path: string, error: unknown): PupilError {
  const { code } = error as NodeJS.ErrnoException;
  if (code !== undefined && code.startsWith('E'))
    return new PupilError('not-found', `${path}: the archive cannot be read (${reasonOf(error)})`, { cause: error });
  return new PupilError(
    'bad-data',
    `${path}: not a whole tar archive (${reasonOf(error)}); make or copy it again (\`skip: 1\` goes on without what ` +
      'is behind the damage)',
    { cause: error },
  );
}

interface Found {
  readonly entries: Map<string, Entry>;
  readonly folders: Set<string>;
  /** Texts beside images. */
  readonly notes: Map<string, string>;
}

/** A pipe that nobody writes to would be waited for without end. */
async function assertFile(path: string): Promise<void> {
  const file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)).catch((error: unknown) => {
    throw unreadableTar(path, error);
  });
  await file.close();
}

/** Throws where an archive begins as one that is compressed. */
function assertPlain(path: string, first: Uint8Array): void {
  if (first[0] !== 0x1f || first[1] !== 0x8b) return;
  throw new PupilError(
    'unsupported',
    `${path}: the archive is compressed, so that images cannot be read out of order; decompress it first (gunzip)`,
  );
}

/** Indexes from a header on; returns where the header after a file is that is not read, or undefined at the end. */
async function scanFrom(
  input: TarInput,
  start: number,
  { entries, folders, notes }: Found,
): Promise<number | undefined> {
  const { path } = input;
  const reader = extract();
  let next: number | undefined,
    gap = 0;
  reader.on('entry', (header, stream, done) => {
    gap = 0;
    stream.on('error', done);
    if (!Number.isSafeInteger(header.size)) {
      // Its content would be waited for without end.
      reader.destroy(new Error('a file without a size'));
      return;
    }
    const name = header.name.replace(/^(\.?\/)+/, '').replace(/\/+$/, '');
    const keep = name !== '' && !name.split('/').some(isJunk);
    const problem = keep ? problemOf(header, name) : undefined;
    const put = (entry: Entry): void => {
      // An entry appended later replaces an earlier one of the same name.
      entries.delete(name);
      entries.set(name, entry);
    };
    if (keep && problem !== undefined) put(unusable(name, `${path}/${name}`, problem));
    else if (keep && header.type === 'directory') folders.add(name.slice(0, longestName));
    // tar-stream states where an entry's data begins, its type declarations do not.
    const at = start + (header as Header & { readonly byteOffset: number }).byteOffset;
    if ((header.size ?? 0) > largestFile) {
      next = at + Math.ceil(header.size / 512) * 512;
      reader.destroy();
      return;
    }
    const content = keep && header.type === 'file' && problem === undefined ? new Content() : undefined;
    const note: Uint8Array[] | undefined = isNote(name) && (header.size ?? 0) <= longestNote ? [] : undefined;
    stream.on('data', (data) => {
      gap = 0;
      content?.add(data as Uint8Array);
      note?.push(data as Uint8Array);
    });
    stream.on('end', () => {
      if (content !== undefined) put(content.entry(input, name, at));
      if (content !== undefined && note !== undefined) notes.set(name, Buffer.concat(note).toString('utf8'));
      done();
    });
  });
  const bounded = async function* (chunks: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
    let isFirst = start === 0;
    for await (const chunk of chunks) {
      if (isFirst) assertPlain(path, chunk);
      isFirst = false;
      gap += chunk.length;
      if (gap > longestGap) throw new Error(`no file in ${longestGap / 2 ** 20} MiB of it`);
      yield chunk;
    }
  };
  await pipeline(input.open(start), bounded, reader).catch((error: unknown) => {
    if (next === undefined) throw error;
  });
  if (next !== undefined && next > ((await input.size()) ?? Infinity)) throw new Error('Unexpected end of data');
  return next;
}

/** Bytes from which the format is told. */
const headSize = 64;

/** Why an entry is not read, whatever is in it. */
function problemOf({ type, size }: Header, name: string): string | undefined {
  if (type === 'directory') return undefined;
  if (type !== 'file') return `a ${type ?? 'special file'} inside an archive; pack the file itself`;
  if (name.length > longestName) return `a name of ${name.length} characters`;
  return sizeProblem(size ?? 0);
}

/** A file's hash and format, from its pieces. */
class Content {
  readonly #hash = createHash('sha256');
  #head = Buffer.alloc(0);
  #length = 0;

  add(piece: Uint8Array): void {
    if (this.#head.length < headSize) this.#head = Buffer.concat([this.#head, piece.subarray(0, headSize)]);
    this.#length += piece.length;
    this.#hash.update(piece);
  }

  entry({ path: archive, sourceOf }: TarInput, name: string, offset: number): Entry {
    const format = imageFormat(this.#head);
    const hash = this.#hash.digest('hex').slice(0, 32);
    return {
      name,
      path: `${archive}/${name}`,
      source: sourceOf({ offset, length: this.#length, hash }),
      hash,
      format: format.name,
      bytes: this.#length,
      problem: format.readable ? undefined : format.problem,
    };
  }
}

/** Whether a path names an archive, or several by a pattern: `x-{000..012}.tar`. */
export const isTar = (path: string): boolean => /\.tar$/i.test(path);

/** Most archives of one pattern. */
const mostShards = 10_000;

/**
 * The archives that a path stands for: `x-{000..012}.tar` all from the first to the last,
 * `x-{a,b}.tar` those of the list (several in one path: all of them), any other itself. Throws `usage` for
 * a pattern without an end or with too many.
 */
export function shardsOf(path: string): string[] {
  const match = /^(.*)\{([^{}]+)\}(.*)$/s.exec(path);
  if (match === null || existsSync(path)) return [path];
  const [, before, inside, after] = match;
  const range = /^(\d+)\.\.(\d+)$/.exec(inside!);
  if (range === null) return inside!.split(',').flatMap((word) => shardsOf(`${before!}${word.trim()}${after!}`));
  const [from, to] = [Number(range[1]), Number(range[2])];
  if (!(from <= to && to - from < mostShards))
    throw new PupilError(
      'usage',
      `${path}: {${inside!}} is not a range of up to ${mostShards} numbers; give the first and the last, {000..012}`,
    );
  const digits = range[1]!.startsWith('0') ? range[1]!.length : 0;
  return Array.from({ length: to - from + 1 }, (_, i) => String(from + i).padStart(digits, '0')).flatMap((number) =>
    shardsOf(`${before!}${number}${after!}`),
  );
}

/** The numbered archives of the same name beside one, itself among them, in their order. */
async function shardsBeside(path: string): Promise<string[]> {
  const match = shardName.exec(basename(path));
  if (match === null) return [basename(path)];
  return (await readdir(dirname(path)).catch(() => []))
    .filter((name) => {
      const other = shardName.exec(name);
      return other !== null && other[1] === match[1] && other[2]!.length === match[2]!.length;
    })
    .sort();
}

/** A note of numbered archives beside one that was opened alone. */
export async function noteOfNeighbours(path: string): Promise<string[]> {
  const names = await shardsBeside(path);
  const others = names.length - 1;
  if (others < 1) return [];
  const numbers = [names[0]!, names.at(-1)!].map((name) => shardName.exec(name)![2]!);
  const prefix = basename(path).slice(0, -(numbers[0]!.length + '.tar'.length));
  const pattern = join(dirname(path), `${prefix}{${numbers[0]!}..${numbers[1]!}}.tar`);
  const [which, lie] = others === 1 ? ['another archive', 'lies'] : [`${others} other archives`, 'lie'];
  return [
    `${path}: ${which} of this name and another number ${lie} beside it and ${others === 1 ? 'is' : 'are'} not ` +
      `opened; to open all, give '${pattern}'`,
  ];
}

/** Throws `not-found` when a number is missing between the first and the last shard beside a path. */
export async function assertNoGap(path: string): Promise<void> {
  const names = await shardsBeside(path);
  const numbers = names.map((name) => Number(shardName.exec(name)?.[2]));
  for (let i = 1; i < numbers.length; i++) {
    if (numbers[i] !== numbers[i - 1]! + 1) {
      throw new PupilError(
        'not-found',
        `${dirname(path)}: between the shards ${names[i - 1]!} and ${names[i]!} at least one is missing; ` +
          'copy it, or give the archives that there are: NAME-{00,02}.tar',
      );
    }
  }
}
