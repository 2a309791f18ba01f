import { closeSync, fstatSync, openSync, readSync, realpathSync, statSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { basename, dirname, join, sep } from 'node:path';
import { codeOfSystemError, PupilError } from '../errors.js';
import { decodeOnnx } from './decode.js';
import type { OnnxFile } from './model.js';
import type { ExternalData } from './tensors.js';

/** Reads an ONNX file and the external data files beside it. Throws `not-found` or `bad-model`. */
export async function readOnnx(path: string): Promise<OnnxFile> {
  let bytes: Uint8Array;
  try {
    const found = await stat(path);
    if (!found.isFile() && !found.isDirectory())
      throw new PupilError('bad-model', `${path}: is no file; give an ONNX file`);
    bytes = await readFile(path);
  } catch (cause) {
    if (cause instanceof PupilError) throw cause;
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === 'ENOENT') throw new PupilError('not-found', `${path}: no such file; check the path`, { cause });
    if (code === 'EISDIR')
      throw new PupilError('bad-model', `${path}: is a folder, not an ONNX file; name the .onnx file in it`, { cause });
    throw new PupilError(
      codeOfSystemError(code),
      `${path}: cannot be read (${code ?? String(cause)}); check its permissions and size`,
      { cause },
    );
  }
  const files = externalFiles(path);
  try {
    return decodeOnnx(bytes, { name: path, external: files.read });
  } finally {
    files.close();
  }
}

/** How often over the bytes of an external file may be read: tied weights are there once. */
const mostTimes = 4;

interface Opened {
  readonly file: number;
  readonly size: number;
  /** Bytes that were taken from it so far. */
  taken: number;
}

/** Reads parts of the files beside `model`, each opened once. */
function externalFiles(model: string): { read: ExternalData; close: () => void } {
  const open = new Map<string, Opened>();
  const read: ExternalData = (location, offset, length) => {
    let opened = open.get(location);
    if (opened === undefined) open.set(location, (opened = openBeside(model, location)));
    const { file, size } = opened;
    if (offset + length > size)
      throw new PupilError(
        'bad-model',
        `${model}: ${JSON.stringify(location)} is ${size} bytes long but bytes up to ` +
          `${offset + length} are needed; copy it again`,
      );
    opened.taken += length;
    if (opened.taken > mostTimes * size)
      throw new PupilError(
        'bad-model',
        `${model}: its tensors lie over each other in ${JSON.stringify(location)}; export it again`,
      );
    const bytes = new Uint8Array(length);
    for (let done = 0; done < length;) {
      const count = readSync(file, bytes, done, Math.min(length - done, 2 ** 30), offset + done);
      if (count === 0)
        throw new PupilError('bad-model', `${model}: ${JSON.stringify(location)} became shorter; copy it again`);
      done += count;
    }
    return bytes;
  };
  return { read, close: () => open.forEach(({ file }) => closeSync(file)) };
}

/**
 * Opens a file beside a model. A link may lead to where the model itself lies, as in the cache of
 * the hub's clients, and nowhere else. Throws `bad-model`.
 */
function openBeside(model: string, location: string): Opened {
  const what = `${model}: its weights are in ${JSON.stringify(location)}, which`;
  const folder = dirname(model);
  try {
    const path = realpathSync(join(folder, location));
    const isBeside = [realpathSync(folder), dirname(realpathSync(model))].some((root) => path.startsWith(root + sep));
    if (!isBeside)
      throw new PupilError('bad-model', `${what} is a link to another folder; put the file itself beside the model`);
    // Before it is opened: to open a pipe is to wait for its other end.
    if (!statSync(path).isFile()) throw new PupilError('bad-model', `${what} is no file; export the model again`);
    const file = openSync(path, 'r');
    return { file, size: fstatSync(file).size, taken: 0 };
  } catch (cause) {
    if (cause instanceof PupilError) throw cause;
    throw new PupilError('bad-model', `${what} cannot be read; put that file beside ${basename(model)}`, { cause });
  }
}
