import type { Image } from '../image/image.js';
import { resizeShort, type Interpolation } from '../image/resize.js';
import { resizedCentre } from '../image/resized-centre.js';
import type { Preprocessing } from './preprocessing.js';

type EvaluationInput = Pick<Preprocessing, 'size' | 'resizeShort' | 'interpolation'>;

/**
 * At which size decoded images are kept. working: the short side is at most `short` pixels, larger
 * photos are resized to it once, so that augmenting them costs little. evaluation: exactly the crop
 * that the model is evaluated on.
 */
export type Target =
  | { readonly kind: 'working'; readonly short: number; readonly interpolation: Interpolation }
  | { readonly kind: 'evaluation'; readonly input: EvaluationInput };

/** The working resolution of a model's training images: 15% above what evaluation resizes to. */
export const workingTarget = ({ resizeShort: short, interpolation }: EvaluationInput): Target => ({
  kind: 'working',
  short: Math.round(short * 1.15),
  interpolation,
});

/** The crop that evaluation sees. */
export const evaluationTarget = ({ size, resizeShort: short, interpolation }: EvaluationInput): Target => ({
  kind: 'evaluation',
  input: { size, resizeShort: short, interpolation },
});

/** The size of pictures for people: in reports and on sheets. */
export const pictureTarget: Target = { kind: 'working', short: 256, interpolation: 'bilinear' };

/** Bytes of an image of 4 : 3 at a target. */
export function decodedBytes(target: Target): number {
  if (target.kind === 'working') return Math.round((target.short ** 2 * 4) / 3) * 3;
  const [height, width] = target.input.size;
  return height * width * 3;
}

/** A name for files that hold images at this target. */
export function targetKey(target: Target): string {
  if (target.kind === 'working') return `w${target.short}-${target.interpolation}`;
  const {
    size: [height, width],
    resizeShort: short,
    interpolation,
  } = target.input;
  return `e${height}x${width}-${short}-${interpolation}`;
}

/** The image at the target's size. */
export function toTarget(image: Image, target: Target): Image {
  if (target.kind === 'evaluation') {
    const {
      size: [height, width],
      resizeShort: short,
      interpolation,
    } = target.input;
    return resizedCentre(image, short, width, height, interpolation);
  }
  return Math.min(image.width, image.height) > target.short
    ? resizeShort(image, target.short, target.interpolation)
    : image;
}
