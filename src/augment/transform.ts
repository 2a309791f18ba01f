import type * as v from 'valibot';
import { release } from '../image/buffers.js';
import type { Image, Size } from '../image/image.js';
import type { Random } from '../random.js';

/** One augmentation: `sample` draws its parameters, `apply` is pure, so that a draw can be logged (as JSON) and replayed. */
export interface Transform<P = unknown> {
  readonly name: string;
  sample(random: Random, size: Size): P;
  /** A new image, or the same one where there is nothing to do. Never changes its input. */
  apply(image: Image, parameters: P): Image;
  /** What was drawn, in a few words for a caption, such as `rotate 9°`; default the name. */
  describe?(parameters: P): string;
}

/** A transform without parameters to draw. */
export const fixed = (name: string, apply: (image: Image) => Image): Transform<null> =>
  ({ name, sample: () => null, apply });

/** A row of the table of transforms: the schema of its options, which also holds their defaults, and how it is made of them. */
export interface TransformRow<S extends v.GenericSchema = v.GenericSchema, P = unknown> {
  readonly options: S;
  readonly make: (options: v.InferOutput<S>) => Transform<P>;
}

/** Ties the types of a row together. */
export const row = <S extends v.GenericSchema, P>(options: S, make: (options: v.InferOutput<S>) => Transform<P>): TransformRow<S, P> =>
  ({ options, make });

/** Functions from image to image one after another; buffers of the images in between are used again, the given image stays whole. */
export function applyAll(image: Image, steps: Iterable<(image: Image) => Image>): Image {
  let result = image;
  for (const step of steps) {
    const next = step(result);
    if (result !== image && next !== result && next.data !== result.data) release(result.data);
    result = next;
  }
  return result;
}
