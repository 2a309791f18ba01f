import { sizeOf } from '../tensor.js';
import type { Model } from './model.js';

/** Numbers that training changes. */
export const countParameters = ({ parameters, statistics }: Pick<Model, 'parameters' | 'statistics'>): number =>
  [...parameters].reduce((sum, [name, { dims }]) => sum + (statistics.has(name) ? 0 : sizeOf(dims)), 0);

type Sized = Pick<Model, 'parameters' | 'statistics' | 'preprocessing'>;

/** Whether a network has fewer parameters than another one, or as many and looks at fewer pixels. */
export function isSmallerThan(network: Sized, other: Sized): boolean {
  const fewer = countParameters(other) - countParameters(network);
  const pixels = ({ preprocessing: { size } }: Sized): number => size[0] * size[1];
  return fewer > 0 || (fewer === 0 && pixels(network) < pixels(other));
}
