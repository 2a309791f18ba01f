import { centreCrop, crop, flipHorizontal } from '../image/crop.js';
import { affine, type Sampling } from '../image/affine.js';
import type { Image } from '../image/image.js';
import { resize, resizeShort, type Box, type Interpolation } from '../image/resize.js';
import { fixed, type Transform } from './transform.js';

type Colour = readonly [number, number, number];

/** Resizes the short side to `size` pixels. */
export const resizeShortSide = ({ size, interpolation }: { size: number; interpolation?: Interpolation }): Transform<null> =>
  fixed('resizeShortSide', (image) => resizeShort(image, size, interpolation));

/** Resizes to exactly width x height pixels, whatever the aspect ratio. */
export const resizeTo = ({ width, height, interpolation }: { width: number; height: number; interpolation?: Interpolation }): Transform<null> =>
  fixed('resizeTo', (image) => resize(image, width, height, interpolation));

/** The central width x height pixels, padded with black where the image is smaller. */
export const centreCropTo = ({ width, height }: { width: number; height: number }): Transform<null> =>
  fixed('centreCropTo', (image) => centreCrop(image, width, height));

/** Mirrors left to right with probability `probability` (default 0.5). */
export const horizontalFlip = ({ probability = 0.5 }: { probability?: number }): Transform<boolean> => ({
  name: 'horizontalFlip',
  sample: (random) => random.chance(probability),
  apply: (image, flip) => (flip ? flipHorizontal(image) : image),
});

export interface RandomResizedCropOptions {
  width: number;
  height: number;
  /** Share of the image's area, uniform; default [0.08, 1]. */
  scale?: readonly [number, number];
  /** Width over height of the box, log-uniform; default [3/4, 4/3]. */
  ratio?: readonly [number, number];
  interpolation?: Interpolation;
}

/** A box of random area and aspect ratio, resized (Szegedy et al. 2014; as defined by torchvision's `RandomResizedCrop`). */
export const randomResizedCrop = (
  { width, height, scale = [0.08, 1], ratio = [3 / 4, 4 / 3], interpolation }: RandomResizedCropOptions,
): Transform<Box> => ({
  name: 'randomResizedCrop',
  sample(random, image) {
    const area = image.width * image.height;
    for (let attempt = 0; attempt < 10; attempt++) {
      const target = area * random.between(scale[0], scale[1]);
      const aspect = Math.exp(random.between(Math.log(ratio[0]), Math.log(ratio[1])));
      const boxWidth = Math.round(Math.sqrt(target * aspect)), boxHeight = Math.round(Math.sqrt(target / aspect));
      if (boxWidth > 0 && boxWidth <= image.width && boxHeight > 0 && boxHeight <= image.height) {
        const top = random.integer(image.height - boxHeight + 1), left = random.integer(image.width - boxWidth + 1);
        return { left, top, width: boxWidth, height: boxHeight };
      }
    }
    // No box fitted: the largest central one whose aspect ratio is allowed.
    const aspect = image.width / image.height;
    const boxWidth = aspect > ratio[1] ? Math.max(1, Math.round(image.height * ratio[1])) : image.width;
    const boxHeight = aspect < ratio[0] ? Math.max(1, Math.round(image.width / ratio[0])) : image.height;
    return { left: Math.floor((image.width - boxWidth) / 2), top: Math.floor((image.height - boxHeight) / 2), width: boxWidth, height: boxHeight };
  },
  apply: (image, box) => resize(image, width, height, interpolation, box),
});

/** Pads every side by `pad` pixels of `fill` and crops width x height at a random place (He et al. 2015 on CIFAR). */
export const padAndCrop = (
  { pad, width, height, fill }: { pad: number; width: number; height: number; fill?: Colour },
): Transform<{ left: number; top: number }> => ({
  name: 'padAndCrop',
  sample: (random, image) => ({
    left: random.integer(Math.max(0, image.width + 2 * pad - width) + 1) - pad,
    top: random.integer(Math.max(0, image.height + 2 * pad - height) + 1) - pad,
  }),
  apply: (image, { left, top }) => crop(image, left, top, width, height, fill),
});

/** Rotates about the centre by an angle uniform in [-degrees, degrees]. */
export const rotate = (
  { degrees, sampling = 'bilinear', fill }: { degrees: number; sampling?: Sampling; fill?: Colour },
): Transform<number> => ({
  name: 'rotate',
  sample: (random) => random.between(-degrees, degrees),
  apply: (image, angle) => rotateBy(image, angle, sampling, fill),
});

/** Rotates about the centre by `degrees`, counter-clockwise; the size stays, corners are filled. */
export function rotateBy(image: Image, degrees: number, sampling: Sampling = 'bilinear', fill?: Colour): Image {
  const angle = (degrees * Math.PI) / 180;
  const cos = Math.cos(angle), sin = Math.sin(angle);
  const x = image.width / 2, y = image.height / 2;
  // Output to source: turn back around the centre.
  return affine(image, [cos, -sin, x - cos * x + sin * y, sin, cos, y - sin * x - cos * y], sampling, fill);
}
