import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname } from 'node:path';
import type { Page } from 'playwright-core';

/** Chromium's program; undefined where there is none. */
export const chromium = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((path) =>
  existsSync(path),
);

const types: Readonly<Record<string, string>> = {
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.wasm': 'application/wasm',
  '.html': 'text/html',
  '.onnx': 'application/octet-stream',
};

/** A page that loads `pupil/web` as built, its dependencies by an import map. */
const page = `<!doctype html><meta charset="utf-8"><script type="importmap">{"imports": {
  "onnxruntime-web/wasm": "/node_modules/onnxruntime-web/dist/ort.wasm.min.mjs",
  "@bufbuild/protobuf": "/node_modules/@bufbuild/protobuf/dist/esm/index.js",
  "@bufbuild/protobuf/codegenv2": "/node_modules/@bufbuild/protobuf/dist/esm/codegenv2/index.js",
  "@bufbuild/protobuf/wire": "/node_modules/@bufbuild/protobuf/dist/esm/wire/index.js"
}}</script><title>pupil/web</title>`;

/**
 * Opens an empty page in Chromium whose server has the project's files and `files`, by their paths, and
 * does `work` in it. `script` is the address of `pupil/web` as built.
 */
export async function inWebPage(
  files: Readonly<Record<string, string | Uint8Array>>,
  work: (tab: Page, script: string) => Promise<void>,
): Promise<void> {
  const { chromium: browserType } = await import('playwright-core');
  const root = new URL('../../', import.meta.url);
  const built = new URL('..', import.meta.url).pathname.slice(root.pathname.length);
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url!, 'http://localhost').pathname);
    const send = (body: string | Uint8Array, extension: string): void => {
      response.writeHead(200, { 'content-type': types[extension] ?? 'application/octet-stream' }).end(body);
    };
    if (path === '/') send(page, '.html');
    else if (Object.hasOwn(files, path)) send(files[path]!, extname(path));
    else
      readFile(new URL(`.${path}`, root)).then(
        (body) => send(body, extname(path)),
        () => response.writeHead(404).end(),
      );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const browser = await browserType.launch({
    executablePath: chromium!,
    args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking'],
  });
  try {
    const tab = await browser.newPage();
    await tab.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
    await work(tab, `/${built}web.js`);
  } finally {
    await browser.close();
    server.close();
  }
}
