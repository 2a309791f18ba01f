/** A file on a host, read from any byte on: retried with back-off, and resumed where a connection was cut. */
import { setTimeout as sleep } from 'node:timers/promises';
import { PupilError } from '../errors.js';
import { shownAddress } from './address.js';
import { HttpStatusError, request, type Answer, type Bytes } from './request.js';

/** What a host says of a file. */
export interface RemoteFile {
  readonly address: string;
  /** Its address as people may see it: without a query, which may hold a signature. */
  readonly shown: string;
  /** Bytes; undefined where the host does not tell. */
  readonly size: number | undefined;
  /** Changes with the content (`ETag`, else `Last-Modified`); undefined where the host states neither. */
  readonly version: string | undefined;
  /** Whether the host gives a part of it; else any part is read from the first byte on. */
  readonly hasRanges: boolean;
  /** Headers of the answer that described it. */
  readonly headers: Headers;
}

export interface RemoteOptions {
  readonly signal?: AbortSignal | undefined;
  readonly limits?: Partial<RemoteLimits> | undefined;
}

export interface RemoteLimits {
  /** Seconds without a byte after which a connection is given up. */
  readonly idle: number;
  /** Bytes per second below which a host is too slow, past the first two minutes. */
  readonly slowest: number;
  /** Requests in a row without progress after which a file is given up. */
  readonly tries: number;
  /** Seconds before the second try; each further one waits twice as long. */
  readonly backOff: number;
}

export const remoteLimits: RemoteLimits = { idle: 30, slowest: 20_000, tries: 5, backOff: 1 };

/** Seconds that any answer may take. */
const base = 120;
/** Seconds that a host may ask to wait. */
const longestWait = 120;
/** Bytes that count as progress: a host that sends less between two cuts is given up in the end. */
const progress = 2 ** 16;

/**
 * The token for an address: HF_TOKEN for the Hugging Face hub (or the mirror in HF_ENDPOINT), none for any other
 * host.
 */
function tokenFor(address: string): string | undefined {
  const endpoint = process.env['HF_ENDPOINT'] || 'https://huggingface.co';
  if (!URL.canParse(endpoint) || new URL(endpoint).origin !== new URL(address).origin) return undefined;
  return process.env['HF_TOKEN'] || undefined;
}

/** A GET of bytes `start` to `end` (not included), which the host may answer with the whole file. */
function ask(
  address: string,
  { start, end, size }: { readonly start: number; readonly end: number | undefined; readonly size: number | undefined },
  { signal, limits }: { readonly signal: AbortSignal | undefined; readonly limits: RemoteLimits },
): Promise<Answer> {
  return request(address, {
    // What is compressed on its way has neither this size nor these bytes.
    headers: { 'Accept-Encoding': 'identity', 'Range': `bytes=${start}-${end === undefined ? '' : end - 1}` },
    token: tokenFor(address),
    signal,
    bytes: size ?? Infinity,
    seconds: base + ((end ?? size ?? Infinity) - start) / limits.slowest,
    idle: limits.idle,
  });
}

/** Byte at which an answer starts, and the size of the whole file where it is told. */
function extentOf({ status, headers }: Answer): { start: number; size: number | undefined } {
  if (status === 206) {
    const [, start, size] = /^bytes (\d+)-\d+\/(\d+|\*)$/i.exec(headers.get('Content-Range') ?? '') ?? [];
    if (start === undefined) throw new Error('it answers with a part, but not with which');
    return { start: Number(start), size: size === '*' ? undefined : Number(size) };
  }
  const length = headers.get('Content-Length');
  const isPlain = /^(identity)?$/i.test(headers.get('Content-Encoding') ?? '');
  return { start: 0, size: isPlain && length !== null && /^\d+$/.test(length) ? Number(length) : undefined };
}

const versionOf = (headers: Headers): string | undefined =>
  headers.get('ETag') ?? headers.get('Last-Modified') ?? undefined;

/**
 * What a host says of a file, asked for by its first byte (some answer no HEAD). Throws `not-found`, `network` or
 * `interrupted`.
 */
export async function describeRemote(address: string, options: RemoteOptions = {}): Promise<RemoteFile> {
  const shown = shownAddress(address);
  return retried({ shown }, options, async ({ signal, limits }) => {
    const answer = await ask(address, { start: 0, end: 1, size: undefined }, { signal, limits });
    try {
      const hasRanges = answer.status === 206;
      // Read to its end, the connection is used again.
      if (hasRanges) for await (const _ of answer.bytes);
      const { headers } = answer;
      return { address, shown, size: extentOf(answer).size, version: versionOf(headers), hasRanges, headers };
    } finally {
      answer.close();
    }
  });
}

/**
 * The bytes of a file from `start` to `end` (not included; default all). A connection that is cut, stalls or is
 * refused for now is made again, from the byte that is missing; a host that answers with the whole file instead is
 * read from its start. Throws `not-found`, `network` or `interrupted`.
 */
export async function* readRemote(
  file: RemoteFile,
  { start = 0, end = file.size }: { readonly start?: number; readonly end?: number | undefined } = {},
  options: RemoteOptions = {},
): Bytes {
  let position = start,
    given = start;
  const patience = createPatience(file, options);
  while (end === undefined || position < end) {
    try {
      const { signal, limits } = patience;
      const answer = await ask(file.address, { start: position, end, size: file.size }, { signal, limits });
      try {
        let at = startOf(answer, file, position);
        for await (const chunk of answer.bytes) {
          const from = Math.max(0, position - at),
            to = Math.min(chunk.length, (end ?? Infinity) - at);
          at += chunk.length;
          if (to <= from) continue;
          position += to - from;
          if (position - given >= progress) {
            given = position;
            patience.reset();
          }
          yield chunk.subarray(from, to);
          if (position === end && answer.status !== 206) break;
        }
      } finally {
        answer.close();
      }
      if (end === undefined) return;
      if (position < end) throw new Error(`the connection ended at byte ${position} of ${end}`);
    } catch (error) {
      await patience.wait(error);
    }
  }
}

/** Byte at which an answer starts. Throws where it is about another content than the one that was described. */
function startOf(answer: Answer, { shown, size, version }: RemoteFile, wanted: number): number {
  const extent = extentOf(answer);
  const differs = (then: unknown, now: unknown): boolean => then !== undefined && now !== undefined && then !== now;
  if (differs(size, extent.size) || differs(version, versionOf(answer.headers)))
    throw new PupilError('network', `${shown}: changed on its host while it was read; run the same command again`);
  if (extent.start > wanted) throw new Error(`it starts at byte ${extent.start} instead of ${wanted}`);
  return extent.start;
}

/** How often and how long a file is tried. */
interface Patience {
  readonly signal: AbortSignal | undefined;
  readonly limits: RemoteLimits;
  /** There was progress. */
  reset(): void;
  /** Waits before the next try; throws the error, in one line, where there is none. */
  wait(error: unknown): Promise<void>;
}

function createPatience({ shown }: Pick<RemoteFile, 'shown'>, { signal, limits: asked }: RemoteOptions): Patience {
  const limits = { ...remoteLimits, ...asked };
  let failures = 0;
  const interrupted = (): PupilError => new PupilError('interrupted', `${shown}: the download was interrupted`);
  return {
    signal,
    limits,
    reset() {
      failures = 0;
    },
    async wait(error) {
      if (signal?.aborted) throw interrupted();
      const isOver = ++failures >= limits.tries;
      if (isOver || !isPassing(error)) throw failureOf(error, shown, isOver ? failures : 1);
      const asks = error instanceof HttpStatusError ? (error.retryAfter ?? 0) : 0;
      const seconds = Math.max(limits.backOff * 2 ** (failures - 1), Math.min(asks, longestWait));
      await sleep(1000 * seconds, undefined, { signal }).catch(() => {
        throw interrupted();
      });
    },
  };
}

async function retried<T>(
  file: Pick<RemoteFile, 'shown'>,
  options: RemoteOptions,
  work: (patience: Patience) => Promise<T>,
): Promise<T> {
  const patience = createPatience(file, options);
  for (;;) {
    try {
      return await work(patience);
    } catch (error) {
      await patience.wait(error);
    }
  }
}

/** Whether another try may end better. */
function isPassing(error: unknown): boolean {
  if (error instanceof HttpStatusError) return [408, 425, 429, 500, 502, 503, 504].includes(error.status);
  // A host that stalls is a `network` error without an address; others of ours are final.
  return !(error instanceof PupilError) || (error.code === 'network' && !/^https?:/.test(error.message));
}

/** One line for what went wrong, after `tries` in a row. */
function failureOf(error: unknown, shown: string, tries: number): PupilError {
  const often = tries > 1 ? `, ${tries} times in a row` : '';
  const again = 'run the same command again later, and it goes on from there';
  if (error instanceof HttpStatusError) {
    const { status } = error;
    if (status === 404 || status === 410)
      return new PupilError('not-found', `${shown}: the host has no such file (HTTP ${status}); check the address`, {
        cause: error,
      });
    if (status === 401 || status === 403)
      return new PupilError('bad-path', `${shown}: the host does not allow it (HTTP ${status}); check the address`, {
        cause: error,
      });
    return new PupilError('network', `${shown}: the host answered HTTP ${status}${often}; ${again}`, { cause: error });
  }
  if (error instanceof PupilError) {
    if (error.message.startsWith(shown)) return error;
    const what = error.message.replace(/; try again( later)?$/, '');
    return new PupilError(error.code, `${shown}: ${what}${often}; ${again}`, { cause: error });
  }
  const cause = (error as Error | undefined)?.cause as NodeJS.ErrnoException | undefined;
  const reason = cause?.code ?? cause?.message ?? (error instanceof Error ? error.message : String(error));
  return new PupilError('network', `${shown}: cannot be fetched (${reason}${often}); ${again}`, { cause: error });
}
