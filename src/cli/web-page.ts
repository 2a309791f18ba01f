import { cp, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { writeError } from '../artifact/files.js';
import { draftOf } from '../drafts.js';

const built = fileURLToPath(new URL('../web-page/', import.meta.url));

/** What the page says of the model beside its classes. */
export interface AboutModel {
  /** Of the pretrained network. */
  readonly licence: string | null;
}

/** Writes a page that classifies in the visitor's browser. The folder appears whole or not at all. */
export async function writeWebPage(folder: string, model: Uint8Array, about: AboutModel): Promise<void> {
  const draft = draftOf(folder);
  try {
    await mkdir(draft, { recursive: true });
    await cp(built, draft, { recursive: true });
    await writeFile(join(draft, 'model.onnx'), model);
    await writeFile(join(draft, 'about.json'), `${JSON.stringify(about)}\n`);
    await rename(draft, folder);
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    throw writeError(folder, error);
  }
}
