import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { PupilError } from '../errors.js';
import { decodeOnnx } from './decode.js';
import type { OnnxFile } from './model.js';
import type { ExternalData } from './tensors.js';

/** Reads an ONNX file and the external data files beside it. Throws `not-found` or `bad-model`. */
export async function readOnnx(path: string): Promise<OnnxFile> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === 'ENOENT') throw new PupilError('not-found', `${path}: no such file; check the path`, { cause });
    if (code === 'EISDIR')
      throw new PupilError('bad-model', `${path}: is a folder, not an ONNX file; name the .onnx file in it`, { cause });
    throw new PupilError('io', `${path}: cannot be read (${code ?? String(cause)}); check its permissions and size`, {
      cause,
    });
  }
  const files = externalFiles(path);
  try {
    return decodeOnnx(bytes, { name: path, external: files.read });
  } finally {
    files.close();
  }
}

/** Reads parts of the files beside `model`, each opened once. */
function externalFiles(model: string): { read: ExternalData; close: () => void } {
  const open = new Map<string, number>();
  const read: ExternalData = (location, offset, length) => {
    let file = open.get(location);
    if (file === undefined) {
      try {
        file = openSync(join(dirname(model), location), 'r');
      } catch (cause) {
        throw new PupilError(
          'bad-model',
          `${model}: its weights are in ${JSON.stringify(location)}, which cannot be read; ` +
            `put that file beside ${basename(model)}`,
          { cause },
        );
      }
      open.set(location, file);
    }
    const wanted = length ?? Math.max(fstatSync(file).size - offset, 0);
    const bytes = new Uint8Array(wanted);
    let done = 0;
    while (done < wanted) {
      const count = readSync(file, bytes, done, Math.min(wanted - done, 2 ** 30), offset + done);
      if (count === 0) {
        throw new PupilError(
          'bad-model',
          `${model}: ${JSON.stringify(location)} is ${fstatSync(file).size} bytes long but bytes up to ` +
            `${offset + wanted} are needed; copy it again`,
        );
      }
      done += count;
    }
    return bytes;
  };
  return { read, close: () => open.forEach((file) => closeSync(file)) };
}
