import { create } from '@bufbuild/protobuf';
import { PupilError } from '../errors.js';
import { arrayType, elementSize, sizeOf, tensor, type DataType, type Tensor, type TypedArray } from '../tensor.js';
import { TensorProto_DataLocation as Location, TensorProtoSchema, type TensorProto } from './generated/onnx_pb.js';
import { nameOfCode, typeCode, typeOfCode } from '../graph/element-types.js';

/** Returns `length` bytes from `offset` of the file `location`, a path beside the model. */
export type ExternalData = (location: string, offset: number, length: number) => Uint8Array;

/**
 * Reads a tensor from any of the places where the format can put its elements. Throws `bad-model`
 * when they do not fit the shape.
 */
export function decodeTensor(proto: TensorProto, file: string, external: ExternalData | undefined): Tensor {
  const dims = proto.dims.map(Number);
  const size = sizeOf(dims);
  const what = `${file}: the tensor ${JSON.stringify(proto.name)}`;
  const dtype = typeOfCode(proto.dataType);
  if (!dtype)
    throw new PupilError(
      'unsupported',
      `${what} holds ${nameOfCode(proto.dataType)}; export the model with float weights`,
    );
  if (dims.some((dim) => !(dim >= 0)) || !Number.isSafeInteger(size)) {
    throw new PupilError('bad-model', `${what} has the impossible shape [${dims.join(', ')}]; the file is damaged`);
  }
  const data =
    proto.dataLocation === Location.EXTERNAL
      ? fromBytes(dtype, readExternal(proto, { what, external, bytes: size * elementSize(dtype) }))
      : proto.rawData.length > 0
        ? fromBytes(dtype, proto.rawData)
        : fromFields(dtype, proto);
  if (data.length !== size) {
    throw new PupilError(
      'bad-model',
      `${what} has ${data.length} elements, its shape [${dims.join(', ')}] needs ${size}; the file is damaged`,
    );
  }
  return tensor(dtype, dims, data);
}

function readExternal(
  proto: TensorProto,
  {
    what,
    external,
    bytes,
  }: { readonly what: string; readonly external: ExternalData | undefined; readonly bytes: number },
): Uint8Array {
  const entries = new Map(proto.externalData.map(({ key, value }) => [key, value]));
  const location = entries.get('location') ?? '';
  // A model must not be able to read other files of the machine.
  if (location === '' || /^([/\\]|[A-Za-z]:)/.test(location) || location.split(/[/\\]/).includes('..')) {
    throw new PupilError(
      'bad-model',
      `${what} names the external file ${JSON.stringify(location)}, which is not beside the model; export it again`,
    );
  }
  if (!external) {
    throw new PupilError(
      'bad-model',
      `${what} is in the external file ${JSON.stringify(location)}; open the model by its path, ` +
        'with that file beside it',
    );
  }
  const number = (key: string, usual: number): number => {
    const stated = entries.get(key);
    const value = stated === undefined || stated === '' ? usual : /^\d{1,15}$/.test(stated) ? Number(stated) : NaN;
    if (Number.isNaN(value))
      throw new PupilError('bad-model', `${what} has the ${key} ${JSON.stringify(stated)}; the file is damaged`);
    return value;
  };
  const length = number('length', bytes);
  if (length !== bytes)
    throw new PupilError(
      'bad-model',
      `${what} has ${length} bytes in ${JSON.stringify(location)}, its shape needs ${bytes}; the file is damaged`,
    );
  return external(location, number('offset', 0), bytes);
}

/**
 * Elements are little-endian in the file, as on every machine that Node runs on; copied, because
 * typed arrays need alignment.
 */
function fromBytes(dtype: DataType, bytes: Uint8Array): TypedArray {
  const whole = bytes.length - (bytes.length % elementSize(dtype));
  // Not `slice`: of a Buffer, that is a view.
  const copy = new Uint8Array(whole);
  copy.set(bytes.subarray(0, whole));
  return new (arrayType(dtype))(copy.buffer);
}

function fromFields(dtype: DataType, proto: TensorProto): TypedArray {
  switch (dtype) {
    case 'float32':
      return Float32Array.from(proto.floatData);
    case 'float64':
      return Float64Array.from(proto.doubleData);
    case 'int64':
      return BigInt64Array.from(proto.int64Data);
    case 'uint64':
      return BigUint64Array.from(proto.uint64Data);
    case 'uint32':
      return Uint32Array.from(proto.uint64Data, Number);
    default:
      return new (arrayType(dtype) as Uint8ArrayConstructor)(proto.int32Data);
  }
}

/** A tensor for the file, its elements as raw bytes (not copied). */
export function encodeTensor(t: Tensor, name = ''): TensorProto {
  return create(TensorProtoSchema, {
    name,
    dims: t.dims.map(BigInt),
    dataType: typeCode(t.dtype),
    rawData: new Uint8Array(t.data.buffer as ArrayBuffer, t.data.byteOffset, t.data.byteLength),
  });
}

/**
 * The same numbers as float32: from float64, float16 and bfloat16; a float32 tensor is returned as
 * it is.
 */
export function toFloat32(t: Tensor): Tensor {
  if (t.dtype === 'float32') return t;
  if (t.dtype === 'float64') return tensor('float32', t.dims, Float32Array.from(t.data as Float64Array));
  if (t.dtype !== 'float16' && t.dtype !== 'bfloat16') throw new Error(`toFloat32: not a float tensor but ${t.dtype}`);
  const bits = t.data as Uint16Array;
  const out = new Float32Array(bits.length);
  if (t.dtype === 'bfloat16') {
    const words = new Uint32Array(out.buffer);
    for (let i = 0; i < bits.length; i++) words[i] = bits[i]! << 16;
  } else {
    for (let i = 0; i < bits.length; i++) out[i] = fromHalf(bits[i]!);
  }
  return tensor('float32', t.dims, out);
}

/** IEEE 754 binary16: (-1)^s * 2^(e - 15) * (1 + m / 1024), subnormal when e = 0. */
function fromHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const mantissa = bits & 0x3ff;
  if (exponent === 0) return sign * mantissa * 2 ** -24;
  if (exponent === 31) return mantissa ? NaN : sign * Infinity;
  return sign * (1 + mantissa / 1024) * 2 ** (exponent - 15);
}
