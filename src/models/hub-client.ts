import { PupilError } from '../errors.js';
import { isLicence } from './licence.js';

/**
 * What Pupil asks of the Hugging Face hub or a mirror: what a repository is, which files it has, and
 * their contents. A server may answer anything: every answer is bounded in bytes and time, and every
 * string of it that becomes part of a path, an address or a message is checked here.
 */
export interface HubClient {
  /** Throws `HubStatusError`, `network`, or what `fetch` throws; so do the other two. */
  info(repository: string, revision: string): Promise<HubInfo>;
  /** The files that can be fetched: those with a path that is safe to write to, a size and a hash. */
  list(repository: string, commit: string): Promise<RemoteFile[]>;
  /** The bytes of a file, `bytes` of them at most. */
  file(repository: string, commit: string, file: { readonly path: string; readonly size?: number }): Bytes;
}

type Bytes = AsyncGenerator<Uint8Array, void, undefined>;

/** A file of a repository: its size in bytes and its content's hash. */
export interface RemoteFile {
  readonly path: string;
  readonly size: number;
  /** SHA-256 of a large file's content (64 hex digits), or git's object id (SHA-1, 40 digits). */
  readonly hash: string;
}

export interface HubInfo {
  /** 40 hexadecimal digits. */
  readonly commit: string;
  readonly license: string | undefined;
  /** The repository whose model this one was made from. */
  readonly origin: string | undefined;
}

export interface HubClientOptions {
  /** Address of the hub, without a slash at its end. */
  readonly endpoint: string;
  /** Sent to the endpoint, and to no other host. */
  readonly token: string | undefined;
  readonly signal: AbortSignal | undefined;
  readonly limits?: Partial<HubLimits> | undefined;
}

export interface HubLimits {
  /** Seconds without a byte after which a connection counts as dead. */
  readonly idle: number;
  /** Seconds for a whole answer; a file has another second for each `slowest` bytes. */
  readonly total: number;
  /** Bytes per second. */
  readonly slowest: number;
  /** Bytes of a JSON answer or file. */
  readonly json: number;
  /** Files of a repository. */
  readonly files: number;
  /** Bytes of one file. */
  readonly file: number;
}

export const hubLimits: HubLimits = {
  idle: 30,
  total: 120,
  slowest: 20_000,
  json: 16e6,
  files: 100_000,
  file: 2 ** 34,
};

/** The hub answered with a status that is no success. */
export class HubStatusError extends Error {
  constructor(readonly status: number) {
    super(`HTTP ${status}`);
  }
}

const namePart = '[A-Za-z0-9][A-Za-z0-9._-]*';
/** Owner and name of a repository, as a regular expression's source. */
export const repositoryPattern = `${namePart}/${namePart}`;
/** A branch, a tag or a commit. */
export const revisionPattern = '[A-Za-z0-9][A-Za-z0-9._+-]*';

export const isCommit = (value: unknown): value is string => typeof value === 'string' && /^[0-9a-f]{40}$/.test(value);

/** SHA-256 of a content or git's object id (SHA-1), in hexadecimal. */
export const isHash = (value: unknown): value is string =>
  typeof value === 'string' && /^([0-9a-f]{40}|[0-9a-f]{64})$/.test(value);

/** Whether a repository's path can be one below a folder of ours on every system. */
export const isSafePath = (value: unknown): value is string =>
  typeof value === 'string' &&
  value.length <= 1000 &&
  !/[\p{C}\\:*?"<>|]/u.test(value) &&
  value.split('/').every((name) => name !== '' && name !== '.' && name !== '..' && name.length <= 255);

const objectOf = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};

/** A client of that hub. */
export function hubClient(options: HubClientOptions): HubClient {
  const limits = { ...hubLimits, ...options.limits };
  const api = `${options.endpoint}/api/models`;
  const json = async (address: string): Promise<{ value: unknown; next: string | undefined }> => {
    const { headers, bytes } = await ask(address, { ...options, limits, bytes: limits.json, seconds: limits.total });
    const parts: Uint8Array[] = [];
    for await (const part of bytes) parts.push(part);
    return { value: parsed(Buffer.concat(parts).toString('utf8'), options.endpoint), next: nextPage(headers) };
  };
  return {
    async info(repository, revision) {
      const fields = ['sha', 'tags', 'cardData'].map((field) => `expand=${field}`).join('&');
      const { value } = await json(`${api}/${repository}/revision/${encodeURIComponent(revision)}?${fields}`);
      return infoOf(value, options.endpoint);
    },
    async list(repository, commit) {
      const files = new Map<string, RemoteFile>();
      const address = `${api}/${repository}/tree/${commit}`;
      let query: string | undefined = '?recursive=true&expand=false';
      for (let page = 0; query !== undefined; page++) {
        const { value, next } = await json(address + query);
        if (!Array.isArray(value)) throw strange(options.endpoint, 'its list of files is not one');
        for (const entry of value) {
          const file = remoteFile(entry, limits);
          if (file !== undefined && !files.has(file.path)) files.set(file.path, file);
        }
        // A page with nothing new would go on for ever.
        if (files.size > limits.files || page > limits.files / 100)
          throw strange(options.endpoint, `its list of files does not end after ${limits.files}`);
        query = next;
      }
      return [...files.values()];
    },
    async *file(repository, commit, { path, size = limits.json }) {
      const place = path.split('/').map(encodeURIComponent).join('/');
      const address = `${options.endpoint}/${repository}/resolve/${commit}/${place}`;
      const seconds = limits.total + size / limits.slowest;
      yield* (await ask(address, { ...options, limits, bytes: size, seconds })).bytes;
    },
  };
}

const strange = (endpoint: string, what: string): PupilError =>
  new PupilError(
    'network',
    `${endpoint} does not answer as a model hub does: ${what}; check HF_ENDPOINT, or try again`,
  );

function parsed(text: string, endpoint: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw strange(endpoint, 'its answer is not JSON');
  }
}

function infoOf(value: unknown, endpoint: string): HubInfo {
  const { sha, tags, cardData } = objectOf(value);
  if (!isCommit(sha)) throw strange(endpoint, 'it names no commit of 40 hexadecimal digits');
  const card = objectOf(cardData);
  const base: unknown = Array.isArray(card['base_model']) ? card['base_model'][0] : card['base_model'];
  const tag = (Array.isArray(tags) ? tags : []).find(
    (item): item is string => typeof item === 'string' && item.startsWith('license:'),
  );
  const stated = typeof card['license'] === 'string' ? card['license'] : tag?.slice('license:'.length);
  return {
    commit: sha,
    license: isLicence(stated) ? stated : undefined,
    origin: typeof base === 'string' && new RegExp(`^${repositoryPattern}$`).test(base) ? base : undefined,
  };
}

/** An entry of a list of files; undefined for a folder and for what cannot be fetched safely. */
function remoteFile(entry: unknown, limits: HubLimits): RemoteFile | undefined {
  const { type, path, oid, size, lfs } = objectOf(entry);
  const large = typeof lfs === 'object' && lfs !== null ? objectOf(lfs) : { oid, size };
  if (type !== 'file' || !isSafePath(path) || !isHash(large['oid'])) return undefined;
  const bytes = large['size'];
  if (typeof bytes !== 'number' || !Number.isSafeInteger(bytes) || bytes < 0 || bytes > limits.file) return undefined;
  return { path, size: bytes, hash: large['oid'] };
}

/**
 * The query of the next page of a list (`Link: <address>; rel="next"`). Only the query is taken, so
 * that a list stays on the hub that was asked.
 */
function nextPage(headers: Headers): string | undefined {
  const address = /<([^<>]{1,2000})>\s*;\s*rel="?next"?/.exec(headers.get('Link') ?? '')?.[1];
  return address !== undefined && URL.canParse(address) ? new URL(address).search : undefined;
}

interface Request extends HubClientOptions {
  readonly limits: HubLimits;
  /** The most that may come. */
  readonly bytes: number;
  readonly seconds: number;
}

/** The answer to a GET; its bytes have to be read to their end or left by `return`. */
async function ask(address: string, request: Request): Promise<{ headers: Headers; bytes: Bytes }> {
  const { endpoint, token, limits } = request;
  const { origin, host } = new URL(address);
  const stop = new AbortController();
  let reason: PupilError | undefined;
  const give = (up: string) => (): void => {
    reason = new PupilError('network', `${host} ${up}; try again later`);
    stop.abort(reason);
  };
  const total = setTimeout(give(`is too slow: not done after ${Math.ceil(request.seconds)} s`), 1000 * request.seconds);
  let idle: NodeJS.Timeout | undefined;
  const pause = (): void => clearTimeout(idle);
  const wait = (): void => {
    idle = setTimeout(give(`sent nothing for ${limits.idle} s`), 1000 * limits.idle);
  };
  const end = (): void => {
    pause();
    clearTimeout(total);
    stop.abort();
  };
  const signal = request.signal === undefined ? stop.signal : AbortSignal.any([stop.signal, request.signal]);
  try {
    wait();
    const headers = new Headers({ Accept: '*/*' });
    if (token && origin === new URL(endpoint).origin) headers.set('Authorization', `Bearer ${token}`);
    const response = await fetch(address, { headers, signal });
    if (!response.ok) throw new HubStatusError(response.status);
    const bytes = body(response, { most: request.bytes, host, pause, wait, end, reason: () => reason });
    return { headers: response.headers, bytes };
  } catch (error) {
    end();
    throw reason ?? error;
  }
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
