import { cp, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeRuntime } from '../artifact/web-runtime.js';
import type { BackboneSource } from '../models/model.js';
import { writeNewFolder } from './new-folder.js';

const built = fileURLToPath(new URL('../web-page/', import.meta.url));

/** What the page says of the model beside its classes. */
export interface AboutModel {
  /** The pretrained networks behind it: its own, then its teachers. */
  readonly origins: readonly BackboneSource[];
}

/** Writes a page that classifies in the visitor's browser. */
export const writeWebPage = (folder: string, model: Uint8Array, about: AboutModel): Promise<void> =>
  writeNewFolder(folder, async (draft) => {
    await cp(built, draft, { recursive: true });
    await writeRuntime(draft, 'wasm');
    await writeFile(join(draft, 'model.onnx'), model);
    await writeFile(join(draft, 'about.json'), `${JSON.stringify(about)}\n`);
  });
