import { existsSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { decodeOnnx } from '../onnx/index.js';
import { readOnnx } from '../onnx/read.js';
import { importFile, type ImportOptions } from './import/file.js';
import { wholeNames } from './import/refusals.js';
import type { Model } from './model.js';

export { importFile, type Imported, type ImportOptions } from './import/file.js';

/**
 * Reads an image classifier or encoder from an ONNX file (a path, or its bytes) as a trainable
 * model: `input` float32 [N, 3, H, W] to `logits` float32 [N, classes] or `features` float32 [N, F],
 * all in opset 17, weights as named parameters. Of probabilities the scores behind them are taken.
 * Throws `not-found`, `bad-model` or `unsupported`.
 */
export async function importOnnx(source: string | Uint8Array, options: ImportOptions = {}): Promise<Model> {
  const name = typeof source === 'string' ? source : (options.name ?? 'the model');
  const file = typeof source === 'string' ? await readOnnx(source) : decodeOnnx(source, { name });
  return importFile(file, name, { ...options, unquantised: unquantisedBeside(name) }).model;
}

/** The unquantised file beside a quantised one: its name, if it is there. */
export const unquantisedBeside = (file: string): string | undefined =>
  wholeNames(basename(file)).find((name) => existsSync(join(dirname(file), name)));
