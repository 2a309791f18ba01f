import { allocate, release } from './buffers.js';
import type { Image } from './image.js';

/**
 * The image as it should be seen, given its Exif orientation (1 to 8: mirrored for 2, 4, 5 and 7;
 * lying for 5 to 8). The given one is used up.
 */
export function orient(image: Image, orientation: number): Image {
  if (orientation === 1) return image;
  const { width, height, data } = image;
  const lying = orientation >= 5;
  const outWidth = lying ? height : width,
    outHeight = lying ? width : height;
  // Where the first row of the result begins, and the steps along its rows and columns, in pixels
  // of the stored image.
  const fromRight = [2, 3, 7, 8].includes(orientation),
    fromBottom = [3, 4, 6, 7].includes(orientation);
  const alongRow = (lying ? width : 1) * ((lying ? fromBottom : fromRight) ? -1 : 1);
  const alongColumn = (lying ? 1 : width) * ((lying ? fromRight : fromBottom) ? -1 : 1);
  const first = (fromRight ? width - 1 : 0) + (fromBottom ? (height - 1) * width : 0);
  const result = allocate(data.length);
  for (let y = 0, to = 0; y < outHeight; y++) {
    let from = 3 * (first + y * alongColumn);
    for (let x = 0; x < outWidth; x++, to += 3, from += 3 * alongRow) {
      result[to] = data[from]!;
      result[to + 1] = data[from + 1]!;
      result[to + 2] = data[from + 2]!;
    }
  }
  release(data);
  return { width: outWidth, height: outHeight, data: result };
}
