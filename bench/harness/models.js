import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { python } from './child.js';

const script = fileURLToPath(new URL('../peers/networks.py', import.meta.url));

/** Where exports and compiled code are kept between runs. */
export const cache = process.env.PUPIL_BENCH_CACHE ?? fileURLToPath(new URL('../../.cache/bench/', import.meta.url));

/**
 * The ONNX file of a network of peers/networks.py (`form` trained or folded), exported when it is
 * not there. Throws without Python.
 */
export async function exported(network, form, size = 224) {
  const stamp = createHash('sha256').update(readFileSync(script)).digest('hex').slice(0, 8);
  const file = join(cache, `${network}-${form}-${size}-${stamp}.onnx`);
  if (existsSync(file)) return file;
  mkdirSync(cache, { recursive: true });
  await promisify(execFile)(python, [script, network, form, `${file}.part`, String(size)]);
  renameSync(`${file}.part`, file);
  return file;
}
