/** The files of onnxruntime-web that come with Pupil, for the pages that it serves and writes. */
import { readdirSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { brotliDecompress } from 'node:zlib';
import { invariant } from '../errors.js';

const shipped = fileURLToPath(new URL('../runtime/', import.meta.url));
const compressed = '.br';
const unpack = promisify<Uint8Array, Uint8Array>(brotliDecompress);

/** By what runs a model: on WebAssembly alone, or also on GPUs. */
export type RuntimeBuild = 'wasm' | 'webgpu';

const isOf: Readonly<Record<RuntimeBuild, RegExp>> = {
  wasm: /^(ort\.wasm|ort-wasm-simd-threaded\.(mjs|wasm))/,
  webgpu: /^(ort\.webgpu|ort-wasm-simd-threaded\.asyncify)/,
};

/** Names of the files of a build; none where the project was not built. */
export function runtimeFiles(build: RuntimeBuild): string[] {
  try {
    return readdirSync(shipped)
      .map((name) => name.replace(/\.br$/, ''))
      .filter((name) => isOf[build].test(name));
  } catch {
    return [];
  }
}

/** The bytes of one of `runtimeFiles`, as onnxruntime-web publishes it. */
export async function readRuntimeFile(name: string): Promise<Uint8Array> {
  const [found] = readdirSync(shipped).filter((file) => file === name || file === name + compressed);
  invariant(found !== undefined, `no file ${name} of onnxruntime-web`);
  const bytes = await readFile(join(shipped, found));
  return found === name ? bytes : unpack(bytes);
}
