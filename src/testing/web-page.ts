/** Pages of files on loopback, in Chromium. */
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname } from 'node:path';
import type { TestContext } from 'node:test';
import type { Page } from 'playwright-core';
import { openBrowser, softwareGpu } from './browser.js';
import { endAfter } from './image-files.js';

const types: Readonly<Record<string, string>> = {
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.css': 'text/css',
  '.json': 'application/json',
  '.txt': 'text/plain',
  '.wasm': 'application/wasm',
  '.html': 'text/html',
};

export interface FileServer {
  /** `http://127.0.0.1:PORT/`. */
  readonly address: string;
  close(): Promise<void>;
}

/** Serves what `fileAt` gives for a path until the test ends; what it rejects is 404. */
export async function serveFiles(
  t: TestContext,
  fileAt: (path: string) => Promise<string | Uint8Array>,
  headers: Readonly<Record<string, string>> = {},
): Promise<FileServer> {
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url!, 'http://localhost').pathname);
    const file = path.endsWith('/') ? `${path}index.html` : path;
    fileAt(file).then(
      (body) =>
        response
          .writeHead(200, { 'content-type': types[extname(file)] ?? 'application/octet-stream', ...headers })
          .end(body),
      () => response.writeHead(404).end(),
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const close = (): Promise<void> => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(() => resolve()));
  };
  endAfter(t, close);
  return { address: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, close };
}

/** With these a page is isolated: WASM may use threads. */
const isolating = {
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
  'cross-origin-resource-policy': 'same-origin',
};

/** A page that loads `pupil/web` as built, its dependencies by an import map. */
const empty = `<!doctype html><meta charset="utf-8"><script type="importmap">{"imports": {
  "onnxruntime-web/wasm": "/node_modules/onnxruntime-web/dist/ort.wasm.min.mjs",
  "@bufbuild/protobuf": "/node_modules/@bufbuild/protobuf/dist/esm/index.js",
  "@bufbuild/protobuf/codegenv2": "/node_modules/@bufbuild/protobuf/dist/esm/codegenv2/index.js",
  "@bufbuild/protobuf/wire": "/node_modules/@bufbuild/protobuf/dist/esm/wire/index.js"
}}</script><title>pupil/web</title>`;

/**
 * Opens an empty page whose server has the project's files and `files`, by their paths. `script` is the
 * address of `pupil/web` as built.
 */
export async function openEmptyPage(
  t: TestContext,
  files: Readonly<Record<string, string | Uint8Array>>,
  { isolated = false, gpu = false } = {},
): Promise<{ readonly tab: Page; readonly script: string }> {
  const root = new URL('../../', import.meta.url);
  const all: typeof files = { '/index.html': empty, ...files };
  const { address } = await serveFiles(
    t,
    async (path) => all[path] ?? (await readFile(new URL(`.${path}`, root))),
    isolated ? isolating : {},
  );
  const tab = await (await openBrowser(t, gpu ? softwareGpu : undefined)).newPage();
  await tab.goto(address);
  return { tab, script: `/${new URL('..', import.meta.url).pathname.slice(root.pathname.length)}web.js` };
}
