import { createHash } from 'node:crypto';
import { open, type FileHandle } from 'node:fs/promises';
import { PupilError } from './errors.js';
import { arrayType, elementSize, sizeOf, type DataType, type Tensor } from './tensor.js';

/**
 * The safetensors format (github.com/huggingface/safetensors): 8 bytes of header length (little
 * endian), a JSON header `{name: {dtype, shape, data_offsets}}`, and the tensors' bytes without
 * gaps. npm has no maintained writer, hence this one; the machine must be little endian, which
 * every platform that Node supports in practice is.
 */

const spelled: Readonly<Record<DataType, string>> = {
  float32: 'F32',
  float64: 'F64',
  float16: 'F16',
  bfloat16: 'BF16',
  int8: 'I8',
  uint8: 'U8',
  int16: 'I16',
  uint16: 'U16',
  int32: 'I32',
  uint32: 'U32',
  int64: 'I64',
  uint64: 'U64',
  bool: 'BOOL',
};
const types = new Map(Object.entries(spelled).map(([dtype, name]) => [name, dtype as DataType]));

/** The header may not be larger than this, as in the reference implementation. */
const headerLimit = 100_000_000;
const chunk = 8 << 20;

interface Entry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

/** What a safetensors file holds. */
export interface TensorFile {
  readonly tensors: Map<string, Tensor>;
  readonly metadata: Readonly<Record<string, string>>;
  /** SHA-256 of the whole file, hexadecimal. */
  readonly sha256: string;
}

function header(
  tensors: ReadonlyMap<string, Tensor>,
  metadata: Readonly<Record<string, string>>,
): {
  bytes: Uint8Array;
  order: Tensor[];
} {
  // Widest elements first, so that every tensor is aligned to its element size; then by name.
  const names = [...tensors.keys()].sort(
    (a, b) => elementSize(tensors.get(b)!.dtype) - elementSize(tensors.get(a)!.dtype) || (a < b ? -1 : 1),
  );
  // No prototype: a tensor may be called __proto__.
  const entries: Record<string, Entry | Readonly<Record<string, string>>> = Object.create(null) as Record<
    string,
    Entry
  >;
  if (Object.keys(metadata).length > 0) entries.__metadata__ = metadata;
  let offset = 0;
  for (const name of names) {
    if (name === '__metadata__') throw new Error('safetensors: __metadata__ cannot be the name of a tensor');
    const { dtype, dims, data } = tensors.get(name)!;
    entries[name] = { dtype: spelled[dtype], shape: dims, data_offsets: [offset, offset + data.byteLength] };
    offset += data.byteLength;
  }
  const json = Buffer.from(JSON.stringify(entries));
  const length = Math.ceil(json.length / 8) * 8;
  const bytes = Buffer.alloc(8 + length, ' ');
  bytes.writeBigUInt64LE(BigInt(length), 0);
  json.copy(bytes, 8);
  return { bytes, order: names.map((name) => tensors.get(name)!) };
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
  for (const { data } of order) await put(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  return { bytes: position, sha256: hash.digest('hex') };
}

/** The bytes of a safetensors file. */
export function encodeSafetensors(
  tensors: ReadonlyMap<string, Tensor>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  const { bytes, order } = header(tensors, metadata);
  return Buffer.concat([
    bytes,
    ...order.map(({ data }) => new Uint8Array(data.buffer, data.byteOffset, data.byteLength)),
  ]);
}

/**
 * Reads a safetensors file whole. Throws `not-found`, or `bad-data` when the file is truncated or
 * is not safetensors.
 */
export async function readSafetensors(path: string): Promise<TensorFile> {
  let handle: FileHandle;
  try {
    handle = await open(path, 'r');
  } catch (error) {
    throw new PupilError(
      'not-found',
      `cannot read ${path} (${(error as NodeJS.ErrnoException).code ?? String(error)})`,
      { cause: error },
    );
  }
  try {
    const { size } = await handle.stat();
    const bytes = new Uint8Array(size);
    const hash = createHash('sha256');
    for (let position = 0; position < size;) {
      const { bytesRead } = await handle.read(bytes, position, Math.min(chunk, size - position), position);
      if (bytesRead === 0) break;
      hash.update(bytes.subarray(position, position + bytesRead));
      position += bytesRead;
    }
    return { ...decodeSafetensors(bytes, path), sha256: hash.digest('hex') };
  } finally {
    await handle.close();
  }
}

/**
 * Tensors (copies) and metadata of a safetensors file's bytes. Throws `bad-data` that names `path`.
 */
export function decodeSafetensors(bytes: Uint8Array, path = 'safetensors'): Omit<TensorFile, 'sha256'> {
  const broken = (what: string, cause?: unknown): PupilError =>
    new PupilError('bad-data', `${path}: not a whole safetensors file: ${what}; use another copy`, { cause });
  if (bytes.length < 8) throw broken(`${bytes.length} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const length = Number(view.getBigUint64(0, true));
  if (length > headerLimit || 8 + length > bytes.length) throw broken(`a header of ${length} bytes in ${bytes.length}`);
  let entries: Record<string, unknown>;
  try {
    entries = JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + length))) as Record<string, unknown>;
  } catch (error) {
    throw broken('the header is not JSON', error);
  }
  if (typeof entries !== 'object' || entries === null || Array.isArray(entries))
    throw broken('the header is not an object');
  const start = 8 + length;
  const tensors = new Map<string, Tensor>();
  let metadata: Readonly<Record<string, string>> = {};
  let end = start;
  for (const [name, value] of Object.entries(entries)) {
    if (name === '__metadata__') {
      metadata = value as Readonly<Record<string, string>>;
      continue;
    }
    const { dtype: type, shape, data_offsets: offsets } = value as Partial<Entry>;
    const dtype = types.get(type ?? '');
    const ok =
      dtype !== undefined &&
      Array.isArray(shape) &&
      shape.every((dim) => Number.isSafeInteger(dim) && dim >= 0) &&
      Array.isArray(offsets) &&
      offsets.length === 2;
    if (!ok) throw broken(`the entry ${JSON.stringify(name)} is ${JSON.stringify(value)}`);
    const [from, to] = offsets as [number, number];
    const count = sizeOf(shape);
    if (!(from >= 0 && to - from === count * elementSize(dtype) && start + to <= bytes.length)) {
      throw broken(`${JSON.stringify(name)} lies at ${from} to ${to} of ${bytes.length - start}`);
    }
    end = Math.max(end, start + to);
    // A copy of its own (a Buffer's slice would share memory, at any alignment).
    const data = new (arrayType(dtype))(new Uint8Array(bytes.subarray(start + from, start + to)).buffer);
    tensors.set(name, { dtype, dims: shape, data });
  }
  if (end !== bytes.length) throw broken(`${bytes.length - end} bytes too many`);
  return { tensors, metadata };
}
