import type { Image } from './image.js';

/** Pixels that are looked at, at most. */
const most = 200_000;

/**
 * How far apart the values of an image are: in the channel where it is most, the distance of its
 * 1st and 99th percentile, 0 to 255. About 0 for an image of one colour.
 */
export function contrast({ data }: Image): number {
  const pixels = data.length / 3;
  const step = 3 * Math.ceil(pixels / most);
  let widest = 0;
  for (let c = 0; c < 3; c++) {
    const counts = new Uint32Array(256);
    let total = 0;
    for (let i = c; i < data.length; i += step, total++) counts[data[i]!]!++;
    widest = Math.max(widest, percentile(counts, total * 0.99) - percentile(counts, total * 0.01));
  }
  return widest;
}

/** The smallest value that at least `rank` pixels do not exceed. */
function percentile(counts: Uint32Array, rank: number): number {
  let seen = 0;
  for (const [value, count] of counts.entries()) if ((seen += count) >= rank && seen > 0) return value;
  return 255;
}
