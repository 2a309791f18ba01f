import { PupilError } from '../errors.js';
import type { Interpolation } from '../image/resize.js';

/**
 * How a decoded photo becomes a model's input: resize the short side, crop the centre, then (x/255
 * - mean) / std.
 */
export interface Preprocessing {
  /** Height and width of the crop, pixels. */
  readonly size: readonly [height: number, width: number];
  /** Short side after resizing, pixels. */
  readonly resizeShort: number;
  readonly interpolation: Interpolation;
  readonly crop: 'center';
  /** Per channel (red, green, blue), of x/255. */
  readonly mean: readonly [number, number, number];
  /** Per channel, of x/255. */
  readonly std: readonly [number, number, number];
}

export type Normalization = Pick<Preprocessing, 'mean' | 'std'>;

/** The named normalisations of `normalize`; mean and std are of x/255. */
export const normalizations = {
  imagenet: { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] },
  symmetric: { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] }, // x/127.5 - 1
  unit: { mean: [0, 0, 0], std: [1, 1, 1] }, // x/255
  bytes: { mean: [0, 0, 0], std: [1 / 255, 1 / 255, 1 / 255] }, // x
} as const satisfies Record<string, Normalization>;

/** ImageNet's mean and std, of x/255: what most pretrained backbones expect. */
export const imagenetStatistics: Normalization = normalizations.imagenet;

/**
 * Reads `normalize`: imagenet, symmetric, unit, bytes, or MEAN/STD with one or three numbers each,
 * such as 0.5,0.5,0.5/0.25.
 */
export function parseNormalization(text: string): Normalization {
  if (Object.hasOwn(normalizations, text)) return normalizations[text as keyof typeof normalizations];
  const wrong = (got: string): PupilError =>
    new PupilError(
      'usage',
      `${text}: ${got}; give imagenet, symmetric, unit or MEAN/STD ` +
        '(of x/255, one or three numbers each, such as 0.485,0.456,0.406/0.229,0.224,0.225)',
      { option: 'normalize' },
    );
  const parts = text.split('/');
  if (parts.length !== 2) throw wrong('not a known name and not MEAN/STD');
  const [mean, std] = parts.map((part) => {
    const values = part.split(',').map((value) => (value.trim() === '' ? NaN : Number(value)));
    if (values.some((value) => !Number.isFinite(value))) throw wrong(`'${part}' holds something that is not a number`);
    if (values.length === 1) return [values[0]!, values[0]!, values[0]!] as const;
    if (values.length !== 3) throw wrong(`'${part}' has ${values.length} numbers`);
    return [values[0]!, values[1]!, values[2]!] as const;
  });
  if (std!.some((value) => value <= 0)) throw wrong('a standard deviation must be positive');
  return { mean: mean!, std: std! };
}

/**
 * Preprocessing with the usual defaults: a square or [height, width] crop, short side size *
 * 256/224 from 64 pixels on (equal to the size below that), bilinear, ImageNet's mean and std.
 */
export function makePreprocessing(
  size: number | readonly [number, number],
  overrides: {
    readonly [Name in Exclude<keyof Preprocessing, 'size' | 'crop'>]?: Preprocessing[Name] | undefined;
  } = {},
): Preprocessing {
  const { interpolation = 'bilinear', mean = imagenetStatistics.mean, std = imagenetStatistics.std } = overrides;
  const [height, width] = typeof size === 'number' ? ([size, size] as const) : size;
  if (!(Number.isInteger(height) && Number.isInteger(width) && height >= 1 && width >= 1)) {
    throw new PupilError('usage', `image size ${String(size)}: give a whole number of pixels, such as 224`, {
      option: 'size',
    });
  }
  const larger = Math.max(height, width);
  const { resizeShort = larger >= 64 ? Math.round((larger * 256) / 224) : larger } = overrides;
  return { size: [height, width], resizeShort, interpolation, crop: 'center', mean, std };
}

/** Most pixels of a side that a file may ask for. */
const largestSide = 8192;

/** Whether a file may ask for a side of so many pixels. */
export const isSide = (value: unknown): value is number =>
  typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= largestSide;

/** Checks preprocessing read from JSON (model metadata); throws `bad-model` naming `where`. */
export function checkPreprocessing(value: unknown, where: string): Preprocessing {
  const wrong = (what: string): PupilError =>
    new PupilError('bad-model', `${where}: ${what} in its preprocessing; export it again`);
  if (typeof value !== 'object' || value === null) throw wrong('no object');
  const { size, resizeShort, interpolation, crop, mean, std } = value as Partial<Record<keyof Preprocessing, unknown>>;
  const numbers = (list: unknown, count: number): list is number[] =>
    Array.isArray(list) && list.length === count && list.every((x) => typeof x === 'number' && Number.isFinite(x));
  if (!numbers(size, 2) || !size.every(isSide)) throw wrong(`no size [height, width] of at most ${largestSide}`);
  if (!isSide(resizeShort)) throw wrong(`no resizeShort of at most ${largestSide}`);
  if (interpolation !== 'bilinear' && interpolation !== 'bicubic')
    throw wrong(`unknown interpolation '${String(interpolation)}'`);
  if (crop !== 'center') throw wrong(`unknown crop '${String(crop)}'`);
  if (!numbers(mean, 3) || !numbers(std, 3) || std.some((x) => x <= 0)) throw wrong('no mean or std');
  return {
    size: [size[0]!, size[1]!],
    resizeShort,
    interpolation,
    crop,
    mean: [mean[0]!, mean[1]!, mean[2]!],
    std: [std[0]!, std[1]!, std[2]!],
  };
}
