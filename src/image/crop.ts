import { invariant } from '../errors.js';
import { blank, type Image } from './image.js';

/**
 * The rectangle whose corner is (left, top); what lies outside the image is filled with `fill`. Whole pixels.
 * Always a new image.
 */
export function crop(
  image: Image, left: number, top: number, width: number, height: number, fill: readonly [number, number, number] = [0, 0, 0],
): Image {
  invariant(width >= 1 && height >= 1, `crop: impossible size ${width}x${height}`);
  const inside = left >= 0 && top >= 0 && left + width <= image.width && top + height <= image.height;
  const result = inside ? { width, height, data: new Uint8Array(width * height * 3) } : blank(width, height, fill);
  const fromX = Math.max(0, left), toX = Math.min(image.width, left + width);
  const fromY = Math.max(0, top), toY = Math.min(image.height, top + height);
  if (fromX >= toX) return result;
  for (let y = fromY; y < toY; y++) {
    const start = (y * image.width + fromX) * 3;
    result.data.set(image.data.subarray(start, start + (toX - fromX) * 3), ((y - top) * width + fromX - left) * 3);
  }
  return result;
}

/** Halves go to the even neighbour, as in Python, so that centre crops equal torchvision's. */
function roundHalfEven(x: number): number {
  const floor = Math.floor(x);
  return x - floor === 0.5 ? floor + (floor & 1) : Math.round(x);
}

/** The central width x height pixels (torchvision's `CenterCrop`); a smaller image is padded with black on all sides. */
export function centreCrop(image: Image, width: number, height: number): Image {
  const padLeft = Math.max(0, Math.floor((width - image.width) / 2));
  const padTop = Math.max(0, Math.floor((height - image.height) / 2));
  const left = width > image.width ? -padLeft : roundHalfEven((image.width - width) / 2);
  const top = height > image.height ? -padTop : roundHalfEven((image.height - height) / 2);
  return crop(image, left, top, width, height);
}

/** Mirrored left to right. */
export function flipHorizontal(image: Image): Image {
  const { width, height, data } = image;
  const result = new Uint8Array(data.length);
  for (let y = 0; y < height; y++) {
    let from = y * width * 3;
    let to = from + (width - 1) * 3;
    for (let x = 0; x < width; x++, from += 3, to -= 3) {
      result[to] = data[from]!; result[to + 1] = data[from + 1]!; result[to + 2] = data[from + 2]!;
    }
  }
  return { width, height, data: result };
}
