import type { Random } from '../random.js';
import type { Image, Size } from '../image/image.js';

/** One augmentation: `sample` draws its parameters, `apply` is pure, so that a draw can be logged and replayed. */
export interface Transform<P = unknown> {
  readonly name: string;
  sample(random: Random, image: Size): P;
  apply(image: Image, parameters: P): Image;
}

/** A transform without parameters to draw. */
export const fixed = (name: string, apply: (image: Image) => Image): Transform<null> =>
  ({ name, sample: () => null, apply });
