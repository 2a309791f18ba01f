import { PupilError } from './errors.js';
import { arrayType, elementSize, sizeOf, type DataType, type Tensor } from './tensor.js';

/**
 * The safetensors format (github.com/huggingface/safetensors): 8 bytes of header length (little
 * endian), a JSON header `{name: {dtype, shape, data_offsets}}`, and the tensors' bytes without
 * gaps. npm has no maintained writer, hence this one; the machine must be little endian, which
 * every platform that Node supports in practice is. Runs in browsers, too.
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
interface Entry {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly data_offsets: readonly [number, number];
}

/** What the bytes of a safetensors file hold. */
export interface Tensors {
  readonly tensors: Map<string, Tensor>;
  readonly metadata: Readonly<Record<string, string>>;
}

/** What comes before the tensors, and the tensors in the order of their bytes. */
export function header(
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
  const json = new TextEncoder().encode(JSON.stringify(entries));
  const length = Math.ceil(json.length / 8) * 8;
  const bytes = new Uint8Array(8 + length).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true);
  bytes.set(json, 8);
  return { bytes, order: names.map((name) => tensors.get(name)!) };
}

export const bytesOf = ({ data }: Tensor): Uint8Array => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

/** The bytes of a safetensors file. */
export function encodeSafetensors(
  tensors: ReadonlyMap<string, Tensor>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  const { bytes, order } = header(tensors, metadata);
  const parts = [bytes, ...order.map(bytesOf)];
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/**
 * Tensors (copies) and metadata of a safetensors file's bytes. Throws `bad-data` that names `path`.
 */
export function decodeSafetensors(bytes: Uint8Array, path = 'safetensors'): Tensors {
  const length = headerLength(bytes.subarray(0, 8), bytes.length, path);
  const start = 8 + length;
  const { entries, metadata } = decodeHeader(bytes.subarray(8, start), bytes.length - start, path);
  const tensors = new Map<string, Tensor>();
  for (const { name, dtype, dims, from, to } of entries) {
    // A copy of its own (a Buffer's slice would share memory, at any alignment).
    const data = new (arrayType(dtype))(new Uint8Array(bytes.subarray(start + from, start + to)).buffer);
    tensors.set(name, { dtype, dims, data });
  }
  return { tensors, metadata };
}

export const broken = (path: string, what: string, cause?: unknown): PupilError =>
  new PupilError('bad-data', `${path}: not a whole safetensors file: ${what}; use another copy`, { cause });

/** Bytes of the header of a file that begins with these 8 bytes and has `size` in all. */
export function headerLength(start: Uint8Array, size: number, path: string): number {
  if (start.length < 8) throw broken(path, `${start.length} bytes`);
  const length = Number(new DataView(start.buffer, start.byteOffset, 8).getBigUint64(0, true));
  if (length > headerLimit || 8 + length > size) throw broken(path, `a header of ${length} bytes in ${size}`);
  return length;
}

/** A tensor's type and shape, and where its bytes begin and end after the header. */
interface Placed {
  readonly name: string;
  readonly dtype: DataType;
  readonly dims: readonly number[];
  readonly from: number;
  readonly to: number;
}

/**
 * Reads a header: the tensors in the order of their bytes, which follow each other without gap or
 * overlap up to the end of the file.
 */
export function decodeHeader(
  bytes: Uint8Array,
  room: number,
  path: string,
): { readonly entries: readonly Placed[]; readonly metadata: Readonly<Record<string, string>> } {
  // Deeply nested JSON takes minutes to read.
  if (depthOf(bytes) > 8) throw broken(path, 'the header is nested too deeply');
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder().decode(bytes));
  } catch (error) {
    throw broken(path, 'the header is not JSON', error);
  }
  if (typeof header !== 'object' || header === null || Array.isArray(header))
    throw broken(path, 'the header is not an object');
  let metadata: Readonly<Record<string, string>> = {};
  const entries: Placed[] = [];
  for (const [name, value] of Object.entries(header)) {
    if (name === '__metadata__') metadata = metadataOf(value, path);
    else entries.push(placed(name, value, room, path));
  }
  entries.sort((a, b) => a.from - b.from || a.to - b.to);
  let end = 0;
  for (const { name, from, to } of entries) {
    if (from !== end)
      throw broken(
        path,
        `${JSON.stringify(name)} begins at ${from}, ${from < end ? 'before' : 'after'} the end of the tensor before it`,
      );
    end = to;
  }
  if (end !== room) throw broken(path, `${room - end} bytes too many`);
  return { entries, metadata };
}

/** How deeply JSON is nested, at most. */
function depthOf(json: Uint8Array): number {
  const [quote, backslash] = [0x22, 0x5c];
  let depth = 0,
    deepest = 0,
    isText = false;
  for (let i = 0; i < json.length; i++) {
    const byte = json[i]!;
    if (isText) {
      if (byte === backslash) i++;
      else if (byte === quote) isText = false;
    } else if (byte === quote) isText = true;
    // [ and {, ] and }
    else if (byte === 0x5b || byte === 0x7b) deepest = Math.max(deepest, ++depth);
    else if (byte === 0x5d || byte === 0x7d) depth--;
  }
  return deepest;
}

function metadataOf(value: unknown, path: string): Readonly<Record<string, string>> {
  const isText = (item: unknown): boolean => typeof item === 'string';
  if (typeof value === 'object' && value !== null && !Array.isArray(value) && Object.values(value).every(isText))
    return value as Record<string, string>;
  throw broken(path, '__metadata__ is no object of texts');
}

function placed(name: string, value: unknown, room: number, path: string): Placed {
  const { dtype: type, shape, data_offsets: offsets } = (value ?? {}) as Partial<Entry>;
  const dtype = typeof type === 'string' ? types.get(type) : undefined;
  const isCount = (item: unknown): item is number => Number.isSafeInteger(item) && (item as number) >= 0;
  const isShape = Array.isArray(shape) && shape.length <= 64 && shape.every(isCount);
  if (dtype === undefined || !isShape || !Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount))
    throw broken(path, `the entry ${JSON.stringify(name.slice(0, 200))} has no known dtype, shape and data_offsets`);
  const [from, to] = offsets as [number, number];
  if (to - from !== sizeOf(shape) * elementSize(dtype) || to > room)
    throw broken(path, `${JSON.stringify(name.slice(0, 200))} lies at ${from} to ${to} of ${room}`);
  return { name, dtype, dims: shape, from, to };
}
