import { PupilError } from '../errors.js';
import { request, type Bytes } from '../http/request.js';
import { isLicence } from './licence.js';

/**
 * What Pupil asks of the Hugging Face hub or a mirror: what a repository is, which files it has, and
 * their contents. A server may answer anything: every answer is bounded in bytes and time, and every
 * string of it that becomes part of a path, an address or a message is checked here.
 */
export interface HubClient {
  /** Throws `HttpStatusError`, `network`, or what `fetch` throws; so do the other two. */
  info(repository: string, revision: string): Promise<HubInfo>;
  /** The files that can be fetched: those with a path that is safe to write to, a size and a hash. */
  list(repository: string, commit: string): Promise<RemoteFile[]>;
  /** The bytes of a file, `bytes` of them at most. */
  file(repository: string, commit: string, file: { readonly path: string; readonly size?: number }): Bytes;
}

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
  const { token, signal } = options;
  const ask = (address: string, bytes: number, seconds: number): ReturnType<typeof request> =>
    request(address, { token, signal, bytes, seconds, idle: limits.idle });
  const json = async (address: string): Promise<{ value: unknown; next: string | undefined }> => {
    const { headers, bytes } = await ask(address, limits.json, limits.total);
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
      yield* (await ask(address, size, seconds)).bytes;
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
