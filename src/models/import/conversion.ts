import type { Attribute, Value } from '../../graph/graph.js';
import type { OnnxNode } from '../../onnx/index.js';
import type { Emitter } from './emitter.js';

/**
 * What a converter of one op gets: the node with plain attributes, its operands, and where to put
 * new nodes.
 */
export interface Conversion {
  readonly node: OnnxNode;
  readonly attributes: Readonly<Record<string, Attribute>>;
  readonly inputs: readonly (Value | undefined)[];
  /** The file's version of ONNX's own domain. */
  readonly opset: number;
  readonly emitter: Emitter;
  /** How many outputs the node names. */
  readonly outputCount: number;
}

/** Brings one op to the form of opset 17: returns its outputs (undefined where nothing may read one). */
export type Converter = (conversion: Conversion) => readonly (Value | undefined)[];
