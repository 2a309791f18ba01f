import { centreCrop } from './crop.js';
import type { Image } from './image.js';
import { resize, resizeShort, shortSideSize, type Interpolation } from './resize.js';

/**
 * Twice `wanted` of `length` pixels and a few more, so that what is left on each side is even:
 * halves round as in the whole.
 */
const centralPart = (length: number, wanted: number): number =>
  length <= 2 * wanted + 3 ? length : 2 * wanted + ((length - 2 * wanted) % 4);

/**
 * The central width x height pixels of the image whose short side was resized to `short`. Long
 * strips are resized only where the crop lies, which reads the same pixels with the same weights.
 */
export function resizedCentre(image: Image, short: number, width: number, height: number, kind: Interpolation): Image {
  const whole = shortSideSize(image, short);
  const partWidth = centralPart(whole.width, width),
    partHeight = centralPart(whole.height, height);
  if (whole.width * whole.height <= 16 * partWidth * partHeight)
    return centreCrop(resizeShort(image, short, kind), width, height);
  const left = (whole.width - partWidth) / 2,
    top = (whole.height - partHeight) / 2;
  const stepX = image.width / whole.width,
    stepY = image.height / whole.height;
  const box = {
    left: left * stepX,
    top: top * stepY,
    width: Math.min(partWidth * stepX, image.width - left * stepX),
    height: Math.min(partHeight * stepY, image.height - top * stepY),
  };
  return centreCrop(resize(image, partWidth, partHeight, kind, box), width, height);
}
