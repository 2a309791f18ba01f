/** Requests to the studio's server. */
import type { Failure } from '../protocol.ts';

/** What the server refused, in its words. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

const unreachable = 'The studio does not answer. Is it still running?';

/** The folder that this window shows; the server refuses what is meant for another one. */
let meant: string | undefined;
export const setMeant = (key: string): void => void (meant = key);

async function send(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  if (meant !== undefined) headers.set('Pupil-Folder', meant);
  try {
    return await fetch(`/api${path}`, { ...init, headers });
  } catch {
    throw new Refused(0, unreachable);
  }
}

/** The JSON of an answer; `others` are statuses beside 2xx that are an answer too. Throws `Refused`. */
async function read<T>(response: Response, others: readonly number[] = []): Promise<T> {
  const value = (await response.json().catch(() => ({}))) as Partial<Failure>;
  if (response.ok || others.includes(response.status)) return value as T;
  throw new Refused(response.status, value.error?.message ?? unreachable);
}

export const get = async <T>(path: string): Promise<T> => read<T>(await send(path));

const json = { 'Content-Type': 'application/json' };

export async function post<T>(path: string, body?: unknown, others?: readonly number[]): Promise<T> {
  const init = body === undefined ? {} : { headers: json, body: JSON.stringify(body) };
  return read<T>(await send(path, { method: 'POST', ...init }), others);
}

/** Sends the bytes of an image. */
export const postImage = async <T>(path: string, image: Blob): Promise<T> =>
  read<T>(await send(path, { method: 'POST', headers: { 'Content-Type': 'application/octet-stream' }, body: image }));

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

export const thumbnailOf = (id: number): string => `/api/thumbnail/${id}`;
export const pictureOf = (id: number): string => `/api/picture/${id}`;
