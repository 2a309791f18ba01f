import type { PupilError } from '../errors.js';
import type { DataType, Tensor } from '../tensor.js';

/**
 * A graph inside an attribute (If, Loop), or the name of a function's attribute that stands for the
 * value.
 */
export interface SubgraphAttribute {
  readonly kind: 'graph';
  readonly graph: OnnxGraph;
}
export interface AttributeReference {
  readonly kind: 'reference';
  readonly attribute: string;
}

export type PlainAttribute = number | string | readonly number[] | readonly string[] | Tensor;
export type OnnxAttribute = PlainAttribute | SubgraphAttribute | AttributeReference;

/**
 * Whether an attribute is an ordinary value: not a graph inside a node and not a function's
 * parameter.
 */
export const isPlainAttribute = (attribute: OnnxAttribute): attribute is PlainAttribute =>
  typeof attribute !== 'object' || !('kind' in attribute);

/**
 * An input or output as the file declares it. `shape` is undefined when the file does not say; ''
 * is an unnamed size.
 */
export interface OnnxValue {
  readonly name: string;
  readonly dtype: DataType | undefined;
  readonly shape: readonly (number | string)[] | undefined;
}

export interface OnnxNode {
  readonly name: string;
  readonly op: string;
  readonly domain: string;
  readonly overload: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes: Readonly<Record<string, OnnxAttribute>>;
}

export interface OnnxGraph {
  readonly name: string;
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
  readonly nodes: readonly OnnxNode[];
  readonly initializers: ReadonlyMap<string, Tensor>;
  /** Initializers that hold what no network computes with (strings), and what to say of them. */
  readonly unusable?: ReadonlyMap<string, PupilError>;
}

/** A function that the file defines itself; its nodes take the place of a node that names it. */
export interface OnnxFunction {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly nodes: readonly OnnxNode[];
  readonly defaults: Readonly<Record<string, OnnxAttribute>>;
}

/** What an ONNX file says, as plain data and in the file's own opset. */
export interface OnnxFile {
  readonly irVersion: number;
  /** Version by domain; '' is ONNX's own. */
  readonly opsets: ReadonlyMap<string, number>;
  readonly producer: string;
  readonly metadata: ReadonlyMap<string, string>;
  readonly graph: OnnxGraph;
  /** By `functionKey`. */
  readonly functions: ReadonlyMap<string, OnnxFunction>;
}

/** The key under which a node's function is found. */
export const functionKey = (domain: string, op: string, overload: string): string => `${domain}::${op}::${overload}`;
