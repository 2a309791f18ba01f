export { decodeOnnx, type DecodeOptions } from './decode.js';
export { encodeGraph, type EncodableGraph, type EncodeOptions } from './encode.js';
export { toFloat32 } from './tensors.js';
export {
  functionKey,
  isPlainAttribute,
  type OnnxAttribute,
  type OnnxFile,
  type OnnxFunction,
  type OnnxGraph,
  type OnnxNode,
  type OnnxValue,
} from './model.js';
