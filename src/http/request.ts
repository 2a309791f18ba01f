/**
 * One GET over HTTP. A server may answer anything: every answer is bounded in bytes and time, and a token goes
 * to the host that it is meant for only (`fetch` drops it where a redirect leads to another).
 */
import { PupilError } from '../errors.js';

export type Bytes = AsyncGenerator<Uint8Array, void, undefined>;

/** The host answered with a status that is no success. */
export class HttpStatusError extends Error {
  /** `retryAfter`: seconds that the host asks to wait, if it does. */
  constructor(
    readonly status: number,
    readonly retryAfter?: number,
  ) {
    super(`HTTP ${status}`);
  }
}

export interface RequestOptions {
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** Sent as `Authorization: Bearer`. */
  readonly token?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Bytes of the answer at most. */
  readonly bytes: number;
  /** Seconds for the whole answer. */
  readonly seconds: number;
  /** Seconds without a byte after which the connection counts as dead. */
  readonly idle: number;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly bytes: Bytes;
  /** Ends the connection, where the bytes are not read to their end. */
  close(): void;
}

/** Milliseconds that a timer can wait at most. */
const longestTimer = 2 ** 31 - 1;

/**
 * The answer to a GET. Throws `HttpStatusError`, `network` for a host that stalls or sends too much, or what
 * `fetch` throws.
 */
export async function request(address: string, options: RequestOptions): Promise<Answer> {
  const { host } = new URL(address);
  const { idle: longestIdle, seconds } = options;
  const stop = new AbortController();
  let reason: PupilError | undefined;
  const give = (up: string) => (): void => {
    reason = new PupilError('network', `${host} ${up}; try again later`);
    stop.abort(reason);
  };
  const total = setTimeout(
    give(`is too slow: not done after ${Math.ceil(seconds)} s`),
    Math.min(1000 * seconds, longestTimer),
  );
  let idle: NodeJS.Timeout | undefined;
  const pause = (): void => clearTimeout(idle);
  const wait = (): void => {
    idle = setTimeout(give(`sent nothing for ${longestIdle} s`), 1000 * longestIdle);
  };
  const end = (): void => {
    pause();
    clearTimeout(total);
    stop.abort();
  };
  const signal = options.signal === undefined ? stop.signal : AbortSignal.any([stop.signal, options.signal]);
  try {
    wait();
    const headers = new Headers({ Accept: '*/*', ...options.headers });
    if (options.token) headers.set('Authorization', `Bearer ${options.token}`);
    const response = await fetch(address, { headers, signal });
    if (!response.ok) throw new HttpStatusError(response.status, retryAfter(response.headers));
    const bytes = body(response, { most: options.bytes, host, pause, wait, end, reason: () => reason });
    return { status: response.status, headers: response.headers, bytes, close: end };
  } catch (error) {
    end();
    throw reason ?? error;
  }
}

/** Seconds; undefined where the host states none, or a date. */
function retryAfter(headers: Headers): number | undefined {
  const seconds = headers.get('Retry-After') ?? '';
  return /^\d{1,6}$/.test(seconds) ? Number(seconds) : undefined;
}

interface Watch {
  readonly most: number;
  readonly host: string;
  readonly pause: () => void;
  readonly wait: () => void;
  readonly end: () => void;
  /** Why the watch gave up, if it did. */
  readonly reason: () => PupilError | undefined;
}

async function* body(response: Response, { most, host, pause, wait, end, reason }: Watch): Bytes {
  let bytes = 0;
  try {
    for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
      pause();
      bytes += chunk.length;
      if (bytes > most)
        throw new PupilError('network', `${host} sends more than the ${most} bytes expected; try again`);
      yield chunk;
      wait();
    }
  } catch (error) {
    throw reason() ?? error;
  } finally {
    end();
  }
}
