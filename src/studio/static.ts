/** The files of the studio's page, known by name once: no address is ever made into a path. */
import { existsSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, extname, join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

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

/** onnxruntime-web: what runs models in the page. */
const wasmBuild = ['ort.wasm.min.mjs', 'ort-wasm-simd-threaded.mjs', 'ort-wasm-simd-threaded.wasm'],
  gpuBuild = ['ort.webgpu.min.mjs', 'ort-wasm-simd-threaded.asyncify.mjs', 'ort-wasm-simd-threaded.asyncify.wasm'];

/** What comes with Pupil, and for GPUs what is installed beside it. */
function runtimes(): Map<string, string> {
  const own = fileURLToPath(new URL('../web-page/', import.meta.url));
  const files = new Map(wasmBuild.map((name) => [`/ort/${name}`, join(own, name)]));
  try {
    const installed = dirname(createRequire(import.meta.url).resolve('onnxruntime-web'));
    for (const name of gpuBuild) files.set(`/ort/${name}`, join(installed, name));
  } catch {
    // not installed
  }
  return new Map([...files].filter(([, path]) => existsSync(path)));
}

/** Reads all files below a folder; without it there is one line that says so. */
export function readPage(folder: string): (address: string) => PageFile | undefined {
  const files = new Map([...fonts, ...runtimes()]);
  try {
    for (const name of readdirSync(folder, { recursive: true }).map(String)) {
      const path = join(folder, name);
      if (statSync(path).isFile()) files.set(`/${name.split(sep).join('/')}`, path);
    }
  } catch {
    // not built
  }
  return (address) => {
    const path = files.get(address === '/' ? '/index.html' : address);
    const type = types[extname(path ?? '')] ?? 'application/octet-stream';
    if (path !== undefined) return { bytes: readFileSync(path), type };
    return address === '/' ? { bytes: Buffer.from(missing), type: types['.html']! } : undefined;
  };
}
