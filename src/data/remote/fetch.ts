/** Images inside archives of hosts: many of them in few requests. */
import { open } from 'node:fs/promises';
import { PupilError } from '../../errors.js';
import { readRemote, type RemoteOptions } from '../../http/remote-file.js';
import type { Bytes } from '../../http/request.js';
import { contentHash, readRange } from '../read.js';
import { spansOf, type Span } from '../spans.js';
import type { RemoteSource } from '../sample.js';
import { archiveAt, type RemoteArchive } from './archive.js';

export interface FetchOptions {
  /** Bytes between two images that are fetched along rather than asked for apart; default 128 KiB. */
  readonly widestGap?: number | undefined;
}

/** Fetches images; use it from one place at a time or many, and close it when done. */
export interface Fetcher {
  /** The bytes of images, in their order, each what it was when it was indexed. Throws `network`. */
  fetch(sources: readonly RemoteSource[], options?: FetchOptions): Promise<Uint8Array[]>;
  close(): void;
}

const usualGap = 2 ** 17;

export function createFetcher({ signal }: Pick<RemoteOptions, 'signal'> = {}): Fetcher {
  const closed = new AbortController();
  const options: RemoteOptions = {
    signal: signal === undefined ? closed.signal : AbortSignal.any([signal, closed.signal]),
  };
  const streams = new Map<string, Stream>();
  const spanOf = async (archive: RemoteArchive, span: Span): Promise<Uint8Array> => {
    const local = archive.local && (await readLocal(archive.local, span));
    if (local) return local;
    const { file } = archive;
    if (file.hasRanges) return collect(readRemote(file, span, options), span);
    const stream = streams.get(file.address) ?? createStream(archive, options);
    streams.set(file.address, stream);
    return stream.read(span);
  };
  return {
    async fetch(sources, { widestGap = usualGap } = {}) {
      const found = new Array<Uint8Array>(sources.length);
      const places = sources.map(({ address, ...part }) => ({ ...part, file: address }));
      for (const [address, spans] of spansOf(places, widestGap)) {
        const archive = await archiveAt(address, options);
        for (const span of spans) {
          const bytes = await spanOf(archive, span);
          for (const index of span.members) {
            const { offset, length, hash } = sources[index]!;
            // A copy of its own: what is sent to a worker takes its whole buffer along.
            const own = Uint8Array.prototype.slice.call(bytes, offset - span.start, offset - span.start + length);
            if (contentHash(own) !== hash)
              throw new PupilError(
                'network',
                `${archive.file.shown}: changed on its host after it was indexed; run the same command again`,
              );
            found[index] = own;
          }
        }
      }
      return found;
    },
    close() {
      closed.abort();
      for (const stream of streams.values()) stream.close();
    },
  };
}

/** A run of a kept file; undefined where it was removed meanwhile. */
export async function readLocal(
  path: string,
  { start, end }: Pick<Span, 'start' | 'end'>,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const file = await open(path).catch(() => undefined);
  if (file === undefined) return undefined;
  try {
    return await readRange(file, start, end - start);
  } finally {
    await file.close();
  }
}

export async function collect(
  chunks: AsyncIterable<Uint8Array>,
  { start, end }: Pick<Span, 'start' | 'end'>,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(end - start);
  let done = 0;
  for await (const chunk of chunks) {
    bytes.set(chunk, done);
    done += chunk.length;
  }
  return bytes;
}

/** An archive of a host that gives no parts, read from its first byte on, and again for what lies before. */
export interface Stream {
  read(span: Pick<Span, 'start' | 'end'>): Promise<Uint8Array<ArrayBuffer>>;
  close(): void;
}

export function createStream({ file }: Pick<RemoteArchive, 'file'>, options: RemoteOptions): Stream {
  let chunks: Bytes | undefined;
  /** Bytes of the last chunk that were not asked for yet, and where they begin. */
  let rest = new Uint8Array(),
    at = 0;
  let turn: Promise<unknown> = Promise.resolve();
  const read: Stream['read'] = async ({ start, end }) => {
    if (chunks === undefined || start < at) {
      await chunks?.return();
      chunks = readRemote(file, {}, options);
      rest = new Uint8Array();
      at = 0;
    }
    const bytes = new Uint8Array(end - start);
    for (;;) {
      const from = Math.max(start, at),
        to = Math.min(end, at + rest.length);
      if (to > from) bytes.set(rest.subarray(from - at, to - at), from - start);
      if (at + rest.length >= end) return bytes;
      at += rest.length;
      const next: IteratorResult<Uint8Array, void> = await chunks.next();
      if (next.done)
        throw new PupilError('network', `${file.shown}: is shorter than it was; run the same command again`);
      rest = next.value as Uint8Array<ArrayBuffer>;
    }
  };
  return {
    read(span) {
      const mine = turn.then(() => read(span));
      turn = mine.catch(() => {
        chunks = undefined;
      });
      return mine;
    },
    close: () => void chunks?.return().catch(() => undefined),
  };
}
