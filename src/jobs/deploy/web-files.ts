import { readFile, readdir, stat } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readRuntimeFile, runtimeFiles } from '../../artifact/web-runtime.js';
import type { BackboneSource } from '../../models/model.js';
import type { Files } from './zip.js';

const built = fileURLToPath(new URL('../../web-page/', import.meta.url));

/** What the page says of the model beside its classes. */
export interface AboutModel {
  /** The pretrained networks behind it: its own, then its teachers. */
  readonly origins: readonly BackboneSource[];
}

/** A page that classifies in the visitor's browser. */
export async function webFiles(model: Uint8Array, about: AboutModel): Promise<Files> {
  const files = new Map<string, Uint8Array | string>();
  for (const name of await readdir(built, { recursive: true })) {
    const path = join(built, name);
    if ((await stat(path)).isFile()) files.set(name.split(sep).join('/'), await readFile(path));
  }
  for (const name of runtimeFiles('wasm')) files.set(name, await readRuntimeFile(name));
  return files.set('model.onnx', model).set('about.json', `${JSON.stringify(about)}\n`);
}
