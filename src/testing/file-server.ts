/** A host of files, with what goes wrong on such hosts. */
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TestContext } from 'node:test';

/**
 * What becomes of an answer: cut or stalled in its middle, refused for now, one byte changed, or sent to another
 * host.
 */
export type Fault = 'cut' | 'stall' | 'busy' | 'damaged' | 'redirect';

export interface FileServer {
  /** Without a slash at its end. */
  readonly address: string;
  readonly files: Map<string, Uint8Array>;
  /** `/path range` of every request, with an empty range for all. */
  readonly log: string[];
  /** Authorization headers that came, by path. */
  readonly tokens: Map<string, string | undefined>;
  /** Of the next requests for more than a byte of a file, in order. */
  readonly faults: Fault[];
  /** Whether ranges are answered with parts; else with the whole file. */
  ranges: boolean;
  /** Sent with every file. */
  headers: Readonly<Record<string, string>>;
  /** Where 'redirect' leads. */
  other: string;
  /** The query that every address has to carry, as one that is signed: others are forbidden. */
  query: string | undefined;
}

/** Starts a host on a free port of this machine; it ends with the test. */
export async function startFileServer(
  t: TestContext,
  files: Readonly<Record<string, Uint8Array>>,
): Promise<FileServer> {
  const open = new Set<ServerResponse>();
  const server = createServer((request, response) => {
    open.add(response);
    const { pathname, search } = new URL(request.url!, host.address);
    const range = request.headers.range ?? '';
    host.log.push(`${pathname}${search} ${range.replace('bytes=', '')}`);
    host.tokens.set(pathname, request.headers.authorization);
    if (host.query !== undefined && search !== host.query) return void response.writeHead(403).end();
    const data = host.files.get(pathname.slice(1));
    if (data === undefined) return void response.writeHead(404).end();
    const [, from, to] = (host.ranges && /^bytes=(\d+)-(\d*)$/.exec(range)) || [];
    const start = Number(from ?? 0),
      end = to ? Math.min(Number(to) + 1, data.length) : data.length;
    const isProbe = /^bytes=0-0$/.test(range);
    const fault = isProbe || !/\.(tar|parquet)$/.test(pathname) ? undefined : host.faults.shift();
    if (fault === 'busy') return void response.writeHead(503, { 'Retry-After': '0' }).end('busy');
    if (fault === 'redirect') return void response.writeHead(302, { Location: host.other + pathname }).end();
    let body = Buffer.from(data.subarray(start, end));
    if (fault === 'damaged') body = body.fill(body[body.length >> 1]! ^ 255, body.length >> 1, (body.length >> 1) + 1);
    response.writeHead(from === undefined ? 200 : 206, {
      'ETag': `"${data.length}"`,
      'Content-Length': String(body.length),
      ...(from === undefined ? {} : { 'Content-Range': `bytes ${start}-${end - 1}/${data.length}` }),
      ...host.headers,
    });
    if (fault === 'cut') response.write(body.subarray(0, body.length >> 1), () => response.destroy());
    else if (fault === 'stall') response.write(body.subarray(0, body.length >> 1));
    else response.end(body);
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    for (const response of open) response.destroy();
    server.closeAllConnections();
    server.close();
  });
  const host: FileServer = {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    files: new Map(Object.entries(files)),
    log: [],
    tokens: new Map(),
    faults: [],
    ranges: true,
    headers: {},
    other: '',
    query: undefined,
  };
  return host;
}
