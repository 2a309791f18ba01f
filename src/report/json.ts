/**
 * Looks at JSON that others wrote: what is missing or of another type is NaN, undefined or empty,
 * never an error.
 */

export type Json = Readonly<Record<string, unknown>>;

export const objectOf = (value: unknown): Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : {};

export const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);

/** A finite number, else NaN, which is shown as a dash. */
export const numberOf = (value: unknown): number => (typeof value === 'number' && Number.isFinite(value) ? value : NaN);

export const textOf = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined);

export const textsOf = (value: unknown): readonly string[] => listOf(value).filter((item) => typeof item === 'string');

/** A finite number, else undefined: for optional fields. */
export const optionalNumberOf = (value: unknown): number | undefined =>
  typeof value === 'number' && Number.isFinite(value) ? value : undefined;

/** Maps the values of an object. */
export const mapValues = <V>(value: unknown, map: (item: unknown) => V): Readonly<Record<string, V>> =>
  Object.fromEntries(Object.entries(objectOf(value)).map(([name, item]) => [name, map(item)]));
