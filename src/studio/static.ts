/** The files of the studio's page, known by name once: no address is ever made into a path. */
import { readdirSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, extname, join, sep } from 'node:path';
import { readRuntimeFile, runtimeFiles } from '../artifact/web-runtime.js';

export interface PageFile {
  readonly bytes: Uint8Array;
  readonly type: string;
}

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
  '.wasm': 'application/wasm',
  '.woff2': 'font/woff2',
  '.ttf': 'font/ttf',
};

const missing =
  '<!doctype html><title>Pupil studio</title><p>The page of the studio was not built: run npm run build in the ' +
  'project.</p>';

const fontFolder = dirname(createRequire(import.meta.url).resolve('@expo-google-fonts/pt-sans/package.json'));
/** The typeface, which comes with a package. */
const fonts = new Map([
  ['/fonts/pt-sans-400.ttf', join(fontFolder, '400Regular/PTSans_400Regular.ttf')],
  ['/fonts/pt-sans-700.ttf', join(fontFolder, '700Bold/PTSans_700Bold.ttf')],
]);

/** onnxruntime-web, which runs models in the page. Of its large files, which are compressed, the last one is kept. */
function openRuntimes(): (address: string) => Promise<Uint8Array> | undefined {
  const names = new Map(
    [...runtimeFiles('wasm'), ...runtimeFiles('webgpu')].map((name): [string, string] => [`/ort/${name}`, name]),
  );
  let last: { readonly name: string; readonly bytes: Promise<Uint8Array> } | undefined;
  return (address) => {
    const name = names.get(address);
    if (name === undefined) return undefined;
    if (last?.name !== name) last = { name, bytes: readRuntimeFile(name) };
    return last.bytes;
  };
}

/** Reads all files below a folder; without it there is one line that says so. */
export function readPage(folder: string): (address: string) => Promise<PageFile | undefined> {
  const files = new Map(fonts),
    runtime = openRuntimes();
  try {
    for (const name of readdirSync(folder, { recursive: true }).map(String)) {
      const path = join(folder, name);
      if (statSync(path).isFile()) files.set(`/${name.split(sep).join('/')}`, path);
    }
  } catch {
    // not built
  }
  return async (address) => {
    const path = files.get(address === '/' ? '/index.html' : address);
    const type = types[extname(path ?? address)] ?? 'application/octet-stream';
    const bytes = await (path === undefined ? runtime(address) : readFile(path));
    if (bytes !== undefined) return { bytes, type };
    return address === '/' ? { bytes: Buffer.from(missing), type: types['.html']! } : undefined;
  };
}
