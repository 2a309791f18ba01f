/** Brings the bytes of images that no reader opens at once: from hosts, and out of tables. */
import { createParquetReader } from './parquet/reader.js';
import { createFetcher, type FetchOptions } from './remote/fetch.js';
import type { DistantSource, Source } from './sample.js';

/** Use it from many places at a time, and close it when done. */
export interface Bringer {
  /** The bytes of images, in their order. Throws `network` and `bad-data`. */
  bring(sources: readonly DistantSource[], options?: FetchOptions): Promise<Uint8Array[]>;
  close(): Promise<void>;
}

export const isDistant = (source: Source): source is DistantSource =>
  source.kind === 'remote' || source.kind === 'cell';

export function createBringer(options: { readonly signal?: AbortSignal | undefined } = {}): Bringer {
  const fetcher = createFetcher(options),
    reader = createParquetReader(options);
  return {
    async bring(sources, fetching) {
      const remote = sources.filter((source) => source.kind === 'remote'),
        cells = sources.filter((source) => source.kind === 'cell');
      const [fetched, read] = [
        remote.length > 0 ? await fetcher.fetch(remote, fetching) : [],
        await reader.read(cells),
      ];
      let nextRemote = 0,
        nextCell = 0;
      return sources.map(({ kind }) => (kind === 'remote' ? fetched[nextRemote++]! : read[nextCell++]!));
    },
    async close() {
      fetcher.close();
      await reader.close();
    },
  };
}
