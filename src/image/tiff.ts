import type { Directory } from './exif.js';

const tags = { bits: 258, compression: 259, colours: 262, sampleFormat: 339 } as const;
const jpeg = 7;
/** Kinds of colours that are read: grey (two), RGB, palette, CMYK, CIELab. */
const readColours = new Set([0, 1, 2, 3, 5, 8]);
const yCbCr = 6;

/** Why the colours of a TIFF would be wrong, which its codec does not notice; undefined where they are right. */
export function tiffProblem(directory: Directory): string | undefined {
  const bits = directory.values(tags.bits),
    [compression] = directory.values(tags.compression),
    [colours = 1] = directory.values(tags.colours),
    format = directory.values(tags.sampleFormat);
  if (format.some((value) => value !== 1))
    return 'the values are floats or signed, and nothing says which is white; save it with 8 or 16 bits';
  if (bits.some((value) => ![1, 2, 4, 8, 16].includes(value)))
    return `the channels have ${bits[0]!} bits, which are not supported; save it with 8 or 16 bits`;
  if (colours === yCbCr && compression !== jpeg)
    return 'the colours are YCbCr without JPEG compression, which is not supported; save it as RGB';
  if (colours !== yCbCr && !readColours.has(colours))
    return `the colours are of kind ${colours}, which is not supported; save it as RGB`;
  return undefined;
}
