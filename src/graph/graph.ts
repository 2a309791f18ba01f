import type { DataType, Tensor } from '../tensor.js';

/**
 * The graph: plain data, never runs anything. Ops are spelled as in ONNX and mean what ONNX opset
 * 17 says; the importer brings other opsets to this form. Gradients that engines want whole are ops
 * of the domain `pupil` (see gradient-ops.ts).
 */

/** A size: a number, or the name of one only known at run time (the batch is `N`). */
export type Dim = number | string;
export type Shape = readonly Dim[];

/** A named edge with its element type and shape. */
export interface Value {
  readonly name: string;
  readonly dtype: DataType;
  readonly shape: Shape;
}

/**
 * Attributes as plain values; which ones are floats in the file format is decided by name (see
 * onnx/attributes.ts).
 */
export type Attribute = number | string | readonly number[] | readonly string[] | Tensor;
export type Attributes = Readonly<Record<string, Attribute>>;

/**
 * '' is ONNX's own domain; `pupil` holds whole gradients, which an engine lowers or runs; the
 * others are onnxruntime's.
 */
export type Domain = '' | 'pupil' | 'com.microsoft' | 'com.microsoft.nchwc';

export interface Node {
  /** Unique, and readable in errors: `features.3.conv`. */
  readonly name: string;
  readonly op: string;
  readonly domain: Domain;
  /** Value names; '' marks an optional input that is absent. */
  readonly inputs: readonly string[];
  /** Value names; '' marks an optional output nobody reads. */
  readonly outputs: readonly string[];
  readonly attributes: Attributes;
}

export interface Graph {
  readonly name: string;
  /** Fed at run time: data, and the parameters of a model. */
  readonly inputs: readonly Value[];
  /** Names of the values to return. */
  readonly outputs: readonly string[];
  /** In an order in which they can run. */
  readonly nodes: readonly Node[];
  /** Values that never change. */
  readonly constants: ReadonlyMap<string, Tensor>;
  /** Type and shape of every value: inputs, constants and node outputs. */
  readonly values: ReadonlyMap<string, Value>;
}

/** `dims` if every size is a number, else undefined. */
export function staticDims(shape: Shape): readonly number[] | undefined {
  return shape.every((dim) => typeof dim === 'number') ? shape : undefined;
}

/** `[N, 3, 224, 224]`, for messages and dumps. */
export const formatShape = (shape: Shape): string => `[${shape.join(', ')}]`;

/** Equal rank and equal sizes; names are equal only to themselves. */
export const sameShape = (a: Shape, b: Shape): boolean => a.length === b.length && a.every((dim, i) => dim === b[i]);
