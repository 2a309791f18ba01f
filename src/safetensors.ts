import { createHash } from 'node:crypto';
import { open, type FileHandle } from 'node:fs/promises';
import { PupilError } from './errors.js';
import { broken, bytesOf, decodeHeader, header, headerLength, type Tensors } from './safetensors-format.js';
import { arrayType, type Tensor } from './tensor.js';

/** Files in the safetensors format. */

export { decodeSafetensors, encodeSafetensors } from './safetensors-format.js';

const chunk = 8 << 20;

/** What a safetensors file holds. */
export interface TensorFile extends Tensors {
  /** SHA-256 of the whole file, hexadecimal. */
  readonly sha256: string;
}

/**
 * Writes tensors to an open file in safetensors format; returns its size in bytes and SHA-256.
 * Throws what the file throws.
 */
export async function writeSafetensors(
  handle: FileHandle,
  tensors: ReadonlyMap<string, Tensor>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash('sha256');
  let position = 0;
  const put = async (bytes: Uint8Array): Promise<void> => {
    for (let start = 0; start < bytes.length;) {
      const piece = bytes.subarray(start, start + chunk);
      const { bytesWritten } = await handle.write(piece, 0, piece.length, position);
      hash.update(piece.subarray(0, bytesWritten));
      start += bytesWritten;
      position += bytesWritten;
    }
  };
  const { bytes, order } = header(tensors, metadata);
  await put(bytes);
  for (const tensor of order) await put(bytesOf(tensor));
  return { bytes: position, sha256: hash.digest('hex') };
}

/** A file larger than this is not read, in bytes. */
const fileLimit = 2 ** 34;

/**
 * Reads a safetensors file whole. Throws `not-found`, or `bad-data` when the file is truncated or
 * is not safetensors.
 */
export async function readSafetensors(path: string): Promise<TensorFile> {
  const handle = await opened(path);
  try {
    const hash = createHash('sha256');
    const read = async (position: number, length: number): Promise<Uint8Array<ArrayBuffer>> => {
      const bytes = new Uint8Array(length);
      for (let done = 0; done < length;) {
        const { bytesRead } = await handle.read(bytes, done, Math.min(chunk, length - done), position + done);
        if (bytesRead === 0) throw broken(path, 'it became shorter');
        hash.update(bytes.subarray(done, done + bytesRead));
        done += bytesRead;
      }
      return bytes;
    };
    const found = await handle.stat();
    if (!found.isFile()) throw broken(path, 'it is no file');
    if (found.size > fileLimit) throw broken(path, `${found.size} bytes are too many`);
    const start = await read(0, Math.min(8, found.size));
    const length = headerLength(start, found.size, path);
    const { entries, metadata } = decodeHeader(await read(8, length), found.size - 8 - length, path);
    const tensors = new Map<string, Tensor>();
    for (const { name, dtype, dims, from, to } of entries) {
      const bytes = await read(8 + length + from, to - from);
      tensors.set(name, { dtype, dims, data: new (arrayType(dtype))(bytes.buffer) });
    }
    return { tensors, metadata, sha256: hash.digest('hex') };
  } finally {
    await handle.close();
  }
}

async function opened(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'r');
  } catch (error) {
    throw new PupilError(
      'not-found',
      `cannot read ${path} (${(error as NodeJS.ErrnoException).code ?? String(error)})`,
      { cause: error },
    );
  }
}
