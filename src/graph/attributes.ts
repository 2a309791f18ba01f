import { invariant } from '../errors.js';
import type { Tensor } from '../tensor.js';
import type { Attributes } from './graph.js';

/** What a node says of itself, by the type that is expected. */

/** An integer or real attribute. */
export function numberOf(attributes: Attributes, name: string, fallback: number): number {
  const value = attributes[name];
  invariant(value === undefined || typeof value === 'number', `attribute ${name} must be a number`);
  return value ?? fallback;
}

/** A list of numbers, or undefined. */
export function listOf(attributes: Attributes, name: string): readonly number[] | undefined {
  const value = attributes[name];
  invariant(
    value === undefined || (Array.isArray(value) && value.every((item) => typeof item === 'number')),
    `attribute ${name} must be a list of numbers`,
  );
  return value;
}

/** A list of numbers that must be there. */
export function requiredList(attributes: Attributes, name: string): readonly number[] {
  const value = listOf(attributes, name);
  invariant(value, `attribute ${name} is missing`);
  return value;
}

/** A text attribute. */
export function textOf(attributes: Attributes, name: string, fallback: string): string {
  const value = attributes[name];
  invariant(value === undefined || typeof value === 'string', `attribute ${name} must be a text`);
  return value ?? fallback;
}

/** A tensor attribute, or undefined. */
export function tensorOf(attributes: Attributes, name: string): Tensor | undefined {
  const value = attributes[name];
  return typeof value === 'object' && 'dtype' in value ? value : undefined;
}

/** An axis counted from the front. */
export const fromFront = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);

/** The attribute `axis`, counted from the front. */
export const axisOf = (attributes: Attributes, rank: number, fallback: number): number =>
  fromFront(numberOf(attributes, 'axis', fallback), rank);
