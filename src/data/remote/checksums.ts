/** What a host, or a file beside an archive, states as its checksum. */
import { createHash, type Hash } from 'node:crypto';
import { PupilError } from '../../errors.js';
import { describeRemote, readRemote, type RemoteFile, type RemoteOptions } from '../../http/remote-file.js';
import { HttpStatusError } from '../../http/request.js';

/** A stated digest of a whole file. */
export interface Checksum {
  readonly algorithm: 'sha256' | 'sha512';
  /** In hexadecimal digits. */
  readonly digest: string;
  /** Who states it, to be named. */
  readonly statedBy: string;
}

export const startHash = ({ algorithm }: Checksum): Hash => createHash(algorithm);

/** Bytes of a list of checksums at most. */
const longestList = 2 ** 24;

/**
 * The checksum of a file: of its headers Repr-Digest (RFC 9530) or Digest (RFC 3230); else, in the same folder of
 * the host, of shards.json (which `pupil shards` writes), SHA256SUMS, or NAME.sha256; undefined where there is none.
 * `lists` remembers what was fetched. An ETag is none: it may be anything.
 */
export async function statedChecksum(
  file: RemoteFile,
  lists: Map<string, Promise<string | undefined>>,
  options: RemoteOptions,
): Promise<Checksum | undefined> {
  const own = headerDigest(file.headers);
  if (own !== undefined) return own;
  const name = decodeURIComponent(new URL(file.address).pathname.split('/').at(-1)!);
  for (const [list, find] of places) {
    const address = new URL(list(name), file.address).href;
    const text = lists.get(address) ?? textAt(address, options);
    lists.set(address, text);
    const digest = find((await text) ?? '', name)?.toLowerCase();
    if (digest !== undefined && /^[0-9a-f]{64}$/.test(digest))
      return { algorithm: 'sha256', digest, statedBy: list(name) };
  }
  return undefined;
}

const isOf = (path: string, name: string): boolean => path.split(/[/\\]/).at(-1) === name;

/** Files that may state it: their names, and the digest in their text. */
const places: readonly (readonly [
  name: (file: string) => string,
  find: (text: string, file: string) => string | undefined,
])[] = [
  [
    () => 'shards.json',
    (text, name) => {
      const { shards } = objectIn(text);
      const own = (Array.isArray(shards) ? (shards as unknown[]) : []).find(
        (shard): shard is { file: string; sha256: string } => {
          const { file, sha256 } = (shard ?? {}) as Readonly<Record<string, unknown>>;
          return typeof file === 'string' && typeof sha256 === 'string' && isOf(file, name);
        },
      );
      return own?.sha256;
    },
  ],
  [
    () => 'SHA256SUMS',
    (text, name) => {
      for (const [, digest, path] of text.matchAll(/^\\?([0-9a-f]{64})[ \t]+\*?(.+?)\r?$/gim))
        if (isOf(path!, name)) return digest;
      return undefined;
    },
  ],
  [(name) => `${encodeURIComponent(name)}.sha256`, (text) => /^\\?([0-9a-f]{64})(?![0-9a-f])/i.exec(text.trim())?.[1]],
];

function objectIn(text: string): Readonly<Record<string, unknown>> {
  try {
    return Object(JSON.parse(text)) as Readonly<Record<string, unknown>>;
  } catch {
    return {};
  }
}

/** The strongest digest of the whole content that headers state. */
function headerDigest(headers: Headers): Checksum | undefined {
  for (const header of ['Repr-Digest', 'Digest'])
    for (const [algorithm, bytes] of [
      ['sha512', 64],
      ['sha256', 32],
    ] as const) {
      const pattern = new RegExp(
        `(?:^|,)\\s*${algorithm.replace('sha', 'sha-')}=:?([A-Za-z0-9+/=]+):?\\s*(?:,|;|$)`,
        'i',
      );
      const stated = Buffer.from(pattern.exec(headers.get(header) ?? '')?.[1] ?? '', 'base64');
      if (stated.length === bytes) return { algorithm, digest: stated.toString('hex'), statedBy: header };
    }
  return undefined;
}

/** The text at an address; undefined where the host has none for us. */
async function textAt(address: string, options: RemoteOptions): Promise<string | undefined> {
  try {
    const file = await describeRemote(address, options);
    const parts: Uint8Array[] = [];
    let length = 0;
    for await (const part of readRemote(file, {}, options)) {
      length += part.length;
      if (length > longestList) return undefined;
      parts.push(part);
    }
    return Buffer.concat(parts).toString('utf8');
  } catch (error) {
    const { cause } = error as Error;
    if (error instanceof PupilError && cause instanceof HttpStatusError && cause.status < 500 && cause.status !== 429)
      return undefined;
    throw error;
  }
}
