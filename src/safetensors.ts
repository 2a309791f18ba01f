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

/** Bytes of a file from a position on. Throws `bad-data` where it ends before. */
async function readAt(handle: FileHandle, path: string, position: number, length: number) {
  const bytes = new Uint8Array(length);
  for (let done = 0; done < length;) {
    const { bytesRead } = await handle.read(bytes, done, Math.min(chunk, length - done), position + done);
    if (bytesRead === 0) throw broken(path, 'it became shorter');
    done += bytesRead;
  }
  return bytes;
}

type Reader = (position: number, length: number) => Promise<Uint8Array<ArrayBuffer>>;

/** What the header of an open file says, and how many bytes come before the tensors. */
async function readHeader(handle: FileHandle, path: string, read: Reader) {
  const found = await handle.stat();
  if (!found.isFile()) throw broken(path, 'it is no file');
  if (found.size > fileLimit) throw broken(path, `${found.size} bytes are too many`);
  const length = headerLength(await read(0, Math.min(8, found.size)), found.size, path);
  return { ...decodeHeader(await read(8, length), found.size - 8 - length, path), before: 8 + length };
}

/**
 * One tensor of a safetensors file, of which the rest is not read or checked; undefined where there is none of that
 * name. Throws as `readSafetensors` does.
 */
export async function readTensor(path: string, name: string): Promise<Tensor | undefined> {
  const handle = await opened(path);
  try {
    const read: Reader = (position, length) => readAt(handle, path, position, length);
    const { entries, before } = await readHeader(handle, path, read);
    const entry = entries.find((other) => other.name === name);
    if (entry === undefined) return undefined;
    const { dtype, dims, from, to } = entry;
    return { dtype, dims, data: new (arrayType(dtype))((await read(before + from, to - from)).buffer) };
  } finally {
    await handle.close();
  }
}

/**
 * Reads a safetensors file whole. Throws `not-found`, or `bad-data` when the file is truncated or
 * is not safetensors.
 */
export async function readSafetensors(path: string): Promise<TensorFile> {
  const handle = await opened(path);
  try {
    const hash = createHash('sha256');
    // All of it is read, from the beginning to the end.
    const read: Reader = async (position, length) => {
      const bytes = await readAt(handle, path, position, length);
      hash.update(bytes);
      return bytes;
    };
    const { entries, metadata, before } = await readHeader(handle, path, read);
    const tensors = new Map<string, Tensor>();
    for (const { name, dtype, dims, from, to } of entries) {
      const bytes = await read(before + from, to - from);
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
