/** A window of the studio for tests: a server on a folder, and requests as the studio's page sends them. */
import { request as send } from 'node:http';
import type { TestContext } from 'node:test';
import { endAfter } from './image-files.js';
import { startStudio, type Studio, type StudioOptions } from '../studio/server.js';

export interface Answer {
  readonly status: number;
  readonly bytes: Uint8Array;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly text: string;
}

export interface Asked {
  readonly method?: string | undefined;
  readonly headers?: Readonly<Record<string, string | undefined>> | undefined;
  readonly body?: string | Uint8Array | undefined;
}

/** Milliseconds after which a silent server has failed. */
const patience = 120_000;

/**
 * A request to 127.0.0.1, whatever its headers say, over a connection of its own: one that is kept may be closed by the
 * server at the moment in which it is used again.
 */
export const ask = (port: number, path: string, asked: Asked = {}): Promise<Answer> =>
  askOnce(port, path, asked).catch((error: NodeJS.ErrnoException) => {
    // A server that refuses a large body closes before all of it was sent, which may be noticed before its answer.
    const isCut = error.code === 'EPIPE' || error.code === 'ECONNRESET';
    if (isCut && (asked.body?.length ?? 0) > 2 ** 20) return ask(port, path, asked);
    throw error;
  });

const askOnce = (port: number, path: string, { method = 'GET', headers = {}, body }: Asked): Promise<Answer> =>
  new Promise((resolve, reject) => {
    const given = Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== undefined));
    const sent = send(
      { host: '127.0.0.1', port, path, method, headers: given as Record<string, string>, agent: false },
      (answer) => {
        const parts: Buffer[] = [];
        answer.on('data', (part: Buffer) => parts.push(part));
        answer.on('error', reject);
        answer.on('end', () => {
          const bytes = Buffer.concat(parts);
          resolve({ status: answer.statusCode!, headers: answer.headers, bytes, text: bytes.toString('utf8') });
        });
      },
    );
    sent.on('error', reject);
    sent.setTimeout(patience, () => sent.destroy(new Error(`${method} ${path}: nothing came for ${patience} ms`)));
    sent.end(body);
  });

export interface Window {
  readonly port: number;
  readonly cookie: string;
  get<T>(path: string): Promise<T>;
  getBytes(path: string): Promise<Answer>;
  post<T>(path: string, body: unknown): Promise<{ readonly status: number; readonly value: T }>;
}

/** Goes through the door of the first address, and sends requests with the cookie. */
export async function openWindow(address: string): Promise<Window> {
  const { port: text, pathname, search } = new URL(address);
  const port = Number(text);
  const first = await ask(port, pathname + search);
  const cookie = String(first.headers['set-cookie']).split(';')[0]!;
  const host = `127.0.0.1:${port}`;
  return {
    port,
    cookie,
    async get<T>(path: string) {
      const { status, text: answer } = await ask(port, path, { headers: { cookie } });
      if (status !== 200) throw new Error(`${path}: ${status} ${answer}`);
      return JSON.parse(answer) as T;
    },
    getBytes: (path) => ask(port, path, { headers: { cookie } }),
    async post<T>(path: string, body: unknown) {
      const headers = { cookie, 'origin': `http://${host}`, 'content-type': 'application/json' };
      const { status, text: answer } = await ask(port, path, { method: 'POST', headers, body: JSON.stringify(body) });
      return { status, value: JSON.parse(answer) as T };
    },
  };
}

/** Starts a studio that is closed after the test; without a network of the hub. */
export async function openStudio(t: TestContext, options: StudioOptions): Promise<Studio & { window: Window }> {
  const studio = await startStudio(options);
  endAfter(t, () => studio.close());
  return { ...studio, window: await openWindow(studio.address) };
}
