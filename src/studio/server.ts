/** The studio: a server on loopback that gives a folder of images, its labels and its runs a page. */
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { fileURLToPath } from 'node:url';
import { createAdaptorServer } from '@hono/node-server';
import { Hono } from 'hono';
import { PupilError } from '../errors.js';
import type { ForeignOptions } from '../models/index.js';
import { addApi } from './api.js';
import { createBus } from './bus.js';
import { createDoor } from './safety.js';
import { readPage } from './static.js';
import { openWorkspace } from './workspace.js';

export interface StudioOptions {
  /** The folder of images that is opened. Undefined: none as yet, or only runs are looked at. */
  readonly folder?: string | undefined;
  /** The folder below which a page may open others; default `folder`. */
  readonly root?: string | undefined;
  /** A run elsewhere that is among those that can be tried. */
  readonly run?: string | undefined;
  /** 0 (default): the one of before, else any that is free. */
  readonly port?: number | undefined;
  /** Whose features images are compared by. */
  readonly model?: string | undefined;
  /** How it is read where Pupil did not make it. */
  readonly foreign?: ForeignOptions | undefined;
  /** The built page. */
  readonly page?: string | undefined;
}

export interface Studio {
  /** The first address, with the token. */
  readonly address: string;
  /** Settles when all images were looked at. */
  readonly ready: Promise<void>;
  close(): Promise<void>;
}

const builtPage = fileURLToPath(new URL('./page/', import.meta.url));

/**
 * Opens a folder in the studio. Throws `not-found`, `busy` (another studio has it open), `bad-data` (a
 * labels.csv that cannot be read), `usage` (a port that is taken).
 */
export async function startStudio(options: StudioOptions): Promise<Studio> {
  const { folder, root = folder, run, model, foreign = {}, port = 0, page = builtPage } = options;
  const bus = createBus();
  const workspace = await openWorkspace({ root, folder, run, model, foreign }, bus);
  try {
    const server = createServer();
    const door = createDoor({ port: () => (server.http.address() as AddressInfo).port });
    server.app.use(door.guard);
    addApi(server.app, workspace, bus);
    const pageOf = readPage(page);
    server.app.get('*', async (context) => {
      const file = await pageOf(context.req.path);
      if (file === undefined) return context.json({ error: { code: 'not-found', message: 'no such page' } }, 404);
      return context.body(file.bytes as Uint8Array<ArrayBuffer>, 200, { 'Content-Type': file.type });
    });
    await listen(server.http, port, workspace.project.portBefore);
    const address = `http://127.0.0.1:${(server.http.address() as AddressInfo).port}/`;
    await workspace.announce(address);
    return {
      address: `${address}?token=${door.token}`,
      ready: workspace.project.ready,
      async close() {
        server.http.closeAllConnections();
        await new Promise<void>((resolve) => server.http.close(() => resolve()));
        await workspace.close();
      },
    };
  } catch (error) {
    await workspace.close();
    throw error;
  }
}

function createServer(): { readonly app: Hono; readonly http: Server } {
  const app = new Hono();
  const http = createAdaptorServer({ fetch: app.fetch, overrideGlobalObjects: false }) as Server;
  // A client that sends its request drop by drop, or does not read, is dropped.
  http.headersTimeout = 10_000;
  http.requestTimeout = 60_000;
  http.keepAliveTimeout = 5_000;
  http.timeout = 120_000;
  http.maxConnections = 128;
  http.maxHeadersCount = 100;
  return { app, http };
}

/**
 * Listens at a port; 0: at the one of before, where it is free. A window that waits for a server which was killed finds
 * it there.
 */
const listen = (server: Server, port: number, before: number | undefined): Promise<void> =>
  port === 0 && before !== undefined
    ? listenAt(server, before).catch(() => listenAt(server, 0))
    : listenAt(server, port);

const listenAt = (server: Server, port: number): Promise<void> =>
  new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) =>
      reject(
        error.code === 'EADDRINUSE' || error.code === 'EACCES'
          ? new PupilError('usage', `port ${port} is taken; choose another \`port\``, { option: 'port' })
          : error,
      ),
    );
    server.listen(port, '127.0.0.1', resolve);
  });
