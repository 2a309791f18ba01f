import { invariant } from '../../errors.js';
import type { Value } from '../../graph/graph.js';

/** A value whose sizes are numbers: lowerings work on these only. */
export interface Sized extends Value {
  readonly shape: readonly number[];
}

/** The value with its sizes known. Throws where a size is only known at run time. */
export function sized(value: Value, where: string): Sized {
  invariant(
    isSized(value),
    `${where}: ${value.name} has the shape [${value.shape.join(', ')}], which must be known to train`,
  );
  return value;
}

export const isSized = (value: Value): value is Sized => value.shape.every((dim) => typeof dim === 'number');
