/** Requests to the studio's server. */
import { signal } from '@preact/signals';
import type { Failure } from '../protocol.ts';

/** What the server refused, in its words. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly code = '',
  ) {
    super(message);
  }

  /**
   * Whether it can be asked again as it is: nobody is there, or one who does not know this window (yet), is busy,
   * cannot write, or has another folder open.
   */
  get isPassing(): boolean {
    return [0, 403, 429].includes(this.status) || this.isOfDisk || this.code === 'other-folder';
  }

  /** The disk is full or gone, or nothing can be written to the folder (now). */
  get isOfDisk(): boolean {
    return this.code === 'io' || this.code === 'bad-path';
  }
}

/** How often the server was there again after it had been gone, or could not write: what failed may be asked again. */
export const returned = signal(0);

/** Told where nobody answers. */
export const unreachable = 'The studio does not answer. Is it still running?';

/** The folder that this window shows; the server refuses what is meant for another one. */
let meant: string | undefined;
export const setMeant = (key: string): void => void (meant = key);

async function send(path: string, init: RequestInit = {}, isOfAny = false): Promise<Response> {
  const headers = new Headers(init.headers);
  if (meant !== undefined && !isOfAny) headers.set('Pupil-Folder', meant);
  try {
    return await fetch(`/api${path}`, { ...init, headers });
  } catch {
    throw new Refused(0, unreachable);
  }
}

/** The JSON of an answer. Throws `Refused`. */
async function read<T>(response: Response, others: readonly number[] = []): Promise<T> {
  const value = (await response.json().catch(() => null)) as Partial<Failure> | null;
  // The connection ended within the answer.
  if (value === null && response.ok) throw new Refused(0, unreachable);
  const error = value?.error;
  if (response.ok || (error === undefined && others.includes(response.status))) return value as T;
  // Without a reason it is no answer of the studio: the next one may be.
  if (error === undefined) throw new Refused(0, `The studio answered nothing but ${response.status}.`);
  throw new Refused(response.status, error.message, error.code);
}

export const get = async <T>(path: string): Promise<T> => read<T>(await send(path));
/** Of whatever folder is open. */
export const getOfAny = async <T>(path: string): Promise<T> => read<T>(await send(path, {}, true));

/** The bytes of a file of the studio, by its address. Throws `Refused`. */
export async function getFile(address: string, missing: string): Promise<Blob> {
  const response = await fetch(address).catch(() => {
    throw new Refused(0, unreachable);
  });
  if (!response.ok) throw new Refused(response.status, missing);
  return response.blob().catch(() => {
    throw new Refused(0, unreachable);
  });
}

const json = { 'Content-Type': 'application/json' };

interface Asking {
  /** Statuses beside 2xx that are an answer too. */
  readonly others?: readonly number[] | undefined;
  /** Seconds after which nobody is there. */
  readonly seconds?: number | undefined;
  /** Nobody wants to know any more. */
  readonly signal?: AbortSignal | undefined;
}

export async function post<T>(path: string, body?: unknown, { others, seconds, signal }: Asking = {}): Promise<T> {
  const init: RequestInit = body === undefined ? {} : { headers: json, body: JSON.stringify(body) };
  const over = seconds === undefined ? signal : AbortSignal.timeout(1000 * seconds);
  if (over !== undefined) init.signal = over;
  return read<T>(await send(path, { method: 'POST', ...init }), others);
}

/** Sends the bytes of an image. */
export const postImage = async <T>(path: string, image: Blob): Promise<T> =>
  read<T>(await send(path, { method: 'POST', headers: { 'Content-Type': 'application/octet-stream' }, body: image }));

/**
 * Takes answers as they come, but for those that were asked for before one that has come already: what they say is
 * older.
 */
export function inOrder<T>(take: (value: T) => void): (answer: Promise<T>) => Promise<void> {
  let asked = 0,
    taken = 0;
  return async (answer) => {
    const turn = ++asked;
    const value = await answer;
    if (turn < taken) return;
    taken = turn;
    take(value);
  };
}

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

export const thumbnailOf = (id: number): string => `/api/thumbnail/${id}`;
export const pictureOf = (id: number): string => `/api/picture/${id}`;
