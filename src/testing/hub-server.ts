import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/**
 * The model hub's URL layout, small: model information, a listing in pages, and files; large ones
 * behind a redirect to a second host.
 */

export interface HubRepository {
  /** Contents by path; those whose path holds `.onnx` are large files. */
  readonly files: Readonly<Record<string, Buffer>>;
  readonly tags?: readonly string[];
  readonly cardData?: Readonly<Record<string, unknown>>;
  /** The token that may read it; anyone when absent. */
  readonly token?: string;
}

export interface HubServer {
  readonly endpoint: string;
  readonly repositories: Map<string, HubRepository>;
  /** `GET /path` of every request to the endpoint. */
  readonly log: string[];
  /** Authorization headers that reached the second host. */
  readonly fileTokens: (string | undefined)[];
  /**
   * What goes wrong: a connection cut in the middle of a file, one byte damaged, the whole hub out
   * of order.
   */
  fault: 'none' | 'cut' | 'damaged' | 'down';
  close(): void;
}

/** The commit of every repository. */
export const hubCommit = 'c0ffee0000000000000000000000000000000001';

const isLarge = (path: string): boolean => path.includes('.onnx');
export const sha256 = (data: Buffer): string => createHash('sha256').update(data).digest('hex');
const objectId = (data: Buffer): string =>
  createHash('sha1').update(`blob ${data.length}\0`).update(data).digest('hex');

const listen = (server: Server): Promise<string> =>
  new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => resolve(`http://127.0.0.1:${(server.address() as AddressInfo).port}`));
  });

/** Starts both hosts on free ports of this machine. */
export async function startHub(repositories: Readonly<Record<string, HubRepository>>): Promise<HubServer> {
  const known = new Map(Object.entries(repositories));
  const log: string[] = [];
  const fileTokens: (string | undefined)[] = [];

  const send = (request: IncomingMessage, response: ServerResponse, data: Buffer, etag: string): void => {
    const headers: Record<string, string> = {
      'ETag': `"${etag}"`,
      'Accept-Ranges': 'bytes',
      'Content-Type': 'application/octet-stream',
    };
    const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '');
    const start = range ? Number(range[1]) : 0;
    const end = range?.[2] ? Math.min(Number(range[2]), data.length - 1) : data.length - 1;
    if (range) headers['Content-Range'] = `bytes ${start}-${end}/${data.length}`;
    const body = data.subarray(start, end + 1);
    headers['Content-Length'] = String(body.length);
    response.writeHead(range ? 206 : 200, headers);
    if (hub.fault === 'cut' && !range && body.length > 1000)
      response.write(body.subarray(0, body.length / 2), () => response.destroy());
    else response.end(hub.fault === 'damaged' && !range ? Buffer.from(body).fill('x', 0, 1) : body);
  };

  const handle = (request: IncomingMessage, response: ServerResponse): void => {
    const url = new URL(request.url!, hub.endpoint);
    log.push(`${request.method} ${url.pathname}`);
    const json = (value: unknown, status = 200, headers: Record<string, string> = {}): void => {
      response.writeHead(status, { 'Content-Type': 'application/json', ...headers }).end(JSON.stringify(value));
    };
    if (hub.fault === 'down') return json({ error: 'busy' }, 503);
    const [, api, name = '', rest = ''] = /^\/(api\/models\/)?([^/]+\/[^/]+)\/(.*)$/.exec(url.pathname) ?? [];
    const repository = known.get(name);
    if (!repository) return json({ error: 'Repository not found' }, 404, { 'X-Error-Code': 'RepoNotFound' });
    if (repository.token !== undefined && request.headers.authorization !== `Bearer ${repository.token}`)
      return json({ error: 'Unauthorized' }, 401);
    if (api === undefined) {
      const path = /^resolve\/[0-9a-f]{40}\/(.*)$/.exec(rest)?.[1] ?? '';
      const data = repository.files[path];
      if (!data) return json({ error: 'Entry not found' }, 404, { 'X-Error-Code': 'EntryNotFound' });
      if (!isLarge(path)) return send(request, response, data, objectId(data));
      response
        .writeHead(302, {
          'Location': `${files}/${name}/${path}`,
          'X-Linked-ETag': `"${sha256(data)}"`,
          'X-Linked-Size': String(data.length),
        })
        .end();
    } else if (/^revision\/(main|v1|HEAD)$/.test(rest)) {
      json({
        _id: '1',
        id: name,
        lastModified: '2024-01-01',
        private: false,
        gated: false,
        downloads: 1,
        likes: 1,
        sha: hubCommit,
        tags: repository.tags ?? [],
        cardData: repository.cardData ?? {},
      });
    } else if (rest === `tree/${hubCommit}`) {
      const entries = Object.entries(repository.files).map(([path, data]) => ({
        type: 'file',
        path,
        size: data.length,
        oid: objectId(data),
        ...(isLarge(path)
          ? { oid: objectId(Buffer.from('pointer')), lfs: { oid: sha256(data), size: data.length, pointerSize: 130 } }
          : {}),
      }));
      if (url.searchParams.has('cursor')) json(entries.slice(3));
      else
        json([{ type: 'directory', path: 'onnx', size: 0, oid: hubCommit }, ...entries.slice(0, 3)], 200, {
          Link: `<${hub.endpoint}${url.pathname}?recursive=true&cursor=1>; rel="next"`,
        });
    } else {
      json({ error: 'Revision not found' }, 404);
    }
  };

  const main = createServer(handle);
  const second = createServer((request, response) => {
    fileTokens.push(request.headers.authorization);
    const [, name = '', path = ''] = /^\/([^/]+\/[^/]+)\/(.*)$/.exec(request.url!) ?? [];
    const data = known.get(name)!.files[path]!;
    send(request, response, data, sha256(data));
  });
  const files = await listen(second);
  const hub: HubServer = {
    endpoint: await listen(main),
    repositories: known,
    log,
    fileTokens,
    fault: 'none',
    close() {
      for (const server of [main, second]) {
        server.close();
        server.closeAllConnections();
      }
    },
  };
  return hub;
}
