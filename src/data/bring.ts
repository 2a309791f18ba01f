/** Brings the bytes of images: from hosts, out of tables, and many at once out of archives here. */
import { open } from 'node:fs/promises';
import { createParquetReader } from './parquet/reader.js';
import { createFetcher, type FetchOptions } from './remote/fetch.js';
import { PupilError } from '../errors.js';
import { readRange, reasonOf } from './read.js';
import type { DistantSource, RangeSource, Source } from './sample.js';
import { spansOf } from './spans.js';

/** Use it from many places at a time, and close it when done. */
export interface Bringer {
  /** The bytes of images, in their order. Throws `network` and `bad-data`. */
  bring(sources: readonly PieceSource[], options?: FetchOptions): Promise<Uint8Array[]>;
  close(): Promise<void>;
}

/** What is read in pieces with others. */
export type PieceSource = DistantSource | RangeSource;

export const isDistant = (source: Source): source is DistantSource =>
  source.kind === 'remote' || source.kind === 'cell';

export function createBringer(options: { readonly signal?: AbortSignal | undefined } = {}): Bringer {
  const fetcher = createFetcher(options),
    reader = createParquetReader(options);
  return {
    async bring(sources, fetching) {
      const remote = sources.filter((source) => source.kind === 'remote'),
        cells = sources.filter((source) => source.kind === 'cell'),
        ranges = sources.filter((source) => source.kind === 'range');
      const brought = {
        remote: (remote.length > 0 ? await fetcher.fetch(remote, fetching) : []).values(),
        cell: (await reader.read(cells)).values(),
        range: (await readRanges(ranges)).values(),
      };
      return sources.map(({ kind }) => brought[kind].next().value as Uint8Array);
    },
    async close() {
      fetcher.close();
      await reader.close();
    },
  };
}

/** Bytes between two images of an archive here that are read along: as long as another read takes. */
const narrowGap = 2 ** 17;

/** The bytes of images in archives here, many with one read. Throws `bad-data`. */
async function readRanges(sources: readonly RangeSource[]): Promise<Uint8Array[]> {
  const found = new Array<Uint8Array>(sources.length);
  const parts = sources.map(({ path, offset, length }) => ({ file: path, offset, length }));
  for (const [path, spans] of spansOf(parts, narrowGap)) {
    const unreadable = (reason: string, cause?: unknown): PupilError =>
      new PupilError('bad-data', `${path}: cannot be read (${reason})`, { cause });
    const file = await open(path).catch((error: unknown) => {
      throw unreadable(reasonOf(error), error);
    });
    try {
      for (const { start, end, members } of spans) {
        const bytes = await readRange(file, start, end - start);
        if (bytes === undefined) throw unreadable('it is shorter than it was');
        for (const index of members) {
          const { offset, length } = sources[index]!;
          // A copy of its own: what is sent to a worker takes its whole buffer along.
          found[index] = bytes.slice(offset - start, offset - start + length);
        }
      }
    } catch (error) {
      throw error instanceof PupilError ? error : unreadable(reasonOf(error), error);
    } finally {
      await file.close();
    }
  }
  return found;
}
