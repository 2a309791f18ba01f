import { invariant } from '../../errors.js';
import type { Tensor } from '../../tensor.js';
import type { Attributes } from '../graph.js';
import type { Dense } from './dense.js';

/** What a kernel gets. */
export interface KernelContext {
  readonly op: string;
  readonly attributes: Attributes;
  /** Undefined where an optional input is absent. */
  readonly inputs: readonly (Dense | undefined)[];
  /** Input `index`, which must be there. */
  input(index: number): Dense;
  /** How many outputs the node has. */
  readonly outputCount: number;
}

/** Computes a node's outputs in double precision; the caller rounds them to their types. */
export type Kernel = (context: KernelContext) => readonly Dense[];
export type Kernels = Readonly<Record<string, Kernel>>;

/** An integer or real attribute. */
export function number(attributes: Attributes, name: string, fallback: number): number {
  const value = attributes[name];
  invariant(value === undefined || typeof value === 'number', `attribute ${name} must be a number`);
  return value ?? fallback;
}

/** A list attribute, or undefined. */
export function numbers(attributes: Attributes, name: string): readonly number[] | undefined {
  const value = attributes[name];
  invariant(
    value === undefined || (Array.isArray(value) && value.every((item) => typeof item === 'number')),
    `attribute ${name} must be a list of numbers`,
  );
  return value;
}

/** A text attribute. */
export function text(attributes: Attributes, name: string, fallback: string): string {
  const value = attributes[name];
  invariant(value === undefined || typeof value === 'string', `attribute ${name} must be a text`);
  return value ?? fallback;
}

/** A tensor attribute, or undefined. */
export function tensorAttribute(attributes: Attributes, name: string): Tensor | undefined {
  const value = attributes[name];
  return typeof value === 'object' && 'dtype' in value ? value : undefined;
}

/** An axis counted from the front. */
export const axisOf = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);

/**
 * Axes from an input or an attribute, counted from the front and sorted; undefined when neither is
 * there.
 */
export function axesOf(context: KernelContext, inputIndex: number, rank: number): number[] | undefined {
  const axes = context.inputs[inputIndex]?.data ?? numbers(context.attributes, 'axes');
  return axes && Array.from(axes, (axis) => axisOf(axis, rank)).sort((a, b) => a - b);
}
