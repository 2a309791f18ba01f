/**
 * The ops: image to image by one number in a natural unit. Policies choose among them, and each is
 * also a transform of the same name. A new op is one row here and one row of its test.
 */
import { PupilError } from '../errors.js';
import { rotate, shear, translate, type Sampling } from '../image/affine.js';
import {
  brightness,
  contrast,
  grayscale,
  hue,
  invert,
  posterize,
  saturation,
  solarize,
  solarizeAdd,
} from '../image/colour.js';
import { gaussianBlur, sharpness } from '../image/filter.js';
import { autoContrast, equalize } from '../image/histogram.js';
import type { Colour, Image, Size } from '../image/image.js';
import { findName, hyphenated } from './names.js';

type Range = readonly [low: number, high: number];

/** What an op's number means, as an error message asks for it. */
const units = {
  none: 'no value',
  degrees: 'degrees',
  tangent: 'a tangent',
  pixels: 'whole pixels',
  factor: 'a factor (1 changes nothing)',
  bits: 'whole bits kept',
  threshold: 'a threshold',
  amount: 'an amount',
  turns: 'a share of the circle',
  sigma: 'a sigma in pixels',
} as const;

/** `turns`: shares of the colour circle; `none`: the op takes no number. */
export type Unit = keyof typeof units;

/** How geometric ops read between pixels, and what they show of the outside. */
export interface OpOptions {
  readonly sampling: Sampling;
  readonly fill: Colour;
}

interface OpRow {
  readonly unit: Unit;
  /** The values that are accepted. */
  readonly limits: Range;
  /** Default range of the transform of this name, in the op's unit. */
  readonly range: Range | ((size: Size) => Range);
  /** The value that changes nothing. */
  readonly neutral?: number;
  /** Moves pixels: reads `OpOptions`. */
  readonly geometric?: boolean;
  readonly apply: (image: Image, value: number, options: OpOptions) => Image;
}

const unvalued = (apply: (image: Image) => Image): OpRow => ({ unit: 'none', limits: [0, 0], range: [0, 0], apply });
const enhance = (apply: (image: Image, factor: number) => Image): OpRow => ({
  unit: 'factor',
  limits: [0, 10],
  range: [0.6, 1.4],
  neutral: 1,
  apply,
});
const eighthOf = (side: number): Range => [-Math.floor(side / 8), Math.floor(side / 8)];

const rows = {
  identity: unvalued((image) => image),
  brightness: enhance(brightness),
  contrast: enhance(contrast),
  color: enhance(saturation),
  hue: { unit: 'turns', limits: [-0.5, 0.5], range: [-0.1, 0.1], neutral: 0, apply: hue },
  sharpness: enhance(sharpness),
  autoContrast: unvalued(autoContrast),
  equalize: unvalued(equalize),
  posterize: { unit: 'bits', limits: [0, 8], range: [4, 8], neutral: 8, apply: posterize },
  solarize: { unit: 'threshold', limits: [0, 256], range: [128, 256], neutral: 256, apply: solarize },
  solarizeAdd: {
    unit: 'amount',
    limits: [0, 255],
    range: [0, 110],
    neutral: 0,
    apply: (image, amount) => solarizeAdd(image, amount),
  },
  invert: unvalued(invert),
  rotate: {
    unit: 'degrees',
    limits: [-180, 180],
    range: [-30, 30],
    neutral: 0,
    geometric: true,
    apply: (image, degrees, { sampling, fill }) => rotate(image, degrees, sampling, fill),
  },
  shearX: {
    unit: 'tangent',
    limits: [-3, 3],
    range: [-0.3, 0.3],
    neutral: 0,
    geometric: true,
    apply: (image, x, { sampling, fill }) => shear(image, x, 0, sampling, fill),
  },
  shearY: {
    unit: 'tangent',
    limits: [-3, 3],
    range: [-0.3, 0.3],
    neutral: 0,
    geometric: true,
    apply: (image, y, { sampling, fill }) => shear(image, 0, y, sampling, fill),
  },
  translateX: {
    unit: 'pixels',
    limits: [-100_000, 100_000],
    range: ({ width }) => eighthOf(width),
    neutral: 0,
    geometric: true,
    apply: (image, x, { sampling, fill }) => translate(image, x, 0, sampling, fill),
  },
  translateY: {
    unit: 'pixels',
    limits: [-100_000, 100_000],
    range: ({ height }) => eighthOf(height),
    neutral: 0,
    geometric: true,
    apply: (image, y, { sampling, fill }) => translate(image, 0, y, sampling, fill),
  },
  grayscale: unvalued(grayscale),
  blur: {
    unit: 'sigma',
    limits: [0, 50],
    range: [0.1, 2],
    neutral: 0,
    apply: (image, sigma) => gaussianBlur(image, sigma),
  },
} as const satisfies Record<string, OpRow>;

export type OpName = keyof typeof rows;

export interface Op {
  readonly name: OpName;
  readonly unit: Unit;
  /** The unit in words, such as `whole pixels`. */
  readonly phrase: string;
  /** The values that are accepted. */
  readonly limits: Range;
  /**
   * Values lie on both sides of 0, with a sign that policies draw (rotate, shear, translate, hue).
   */
  readonly signed: boolean;
  /** Only whole numbers (bits, pixels). */
  readonly whole: boolean;
  /** Moves pixels: reads between them as `OpOptions` say. */
  readonly geometric: boolean;
  /** The value that changes nothing; undefined where there is none. */
  readonly neutral: number | undefined;
  /** Default range of the transform of this name on an image of that size. */
  range(size: Size): Range;
  /**
   * The same image where there is nothing to do; `value` has to be within `limits` (see `checkOp`),
   * ops without a value ignore it.
   */
  apply(image: Image, value: number, options: OpOptions): Image;
  /** A caption, such as `rotate 9°`. */
  describe(value: number): string;
}

const suffixes: Partial<Record<Unit, string>> = { degrees: '°', pixels: ' px', bits: ' bits' };

function opOf(name: OpName, { unit, limits, range, neutral, geometric = false, apply }: OpRow): Op {
  const caption = hyphenated(name),
    suffix = suffixes[unit] ?? '';
  return {
    name,
    unit,
    phrase: units[unit],
    limits,
    geometric,
    signed: limits[0] < 0,
    whole: unit === 'bits' || unit === 'pixels',
    neutral,
    range: typeof range === 'function' ? range : () => range,
    apply: (image, value, options) => (value === neutral ? image : apply(image, value, options)),
    describe(value) {
      if (unit === 'none') return caption;
      const rounded = Number(value.toPrecision(Math.abs(value) < 100 ? 3 : 4));
      return `${caption} ${rounded}${value === 1 && unit === 'bits' ? ' bit' : suffix}`;
    },
  };
}

/** Every op by name. */
export const ops = Object.fromEntries(
  Object.entries(rows).map(([name, one]) => [name, opOf(name as OpName, one)]),
) as Record<OpName, Op>;

export const opNames = Object.keys(rows) as OpName[];

const aliases: Readonly<Record<string, OpName>> = {
  colour: 'color',
  saturation: 'color',
  greyscale: 'grayscale',
  gaussianblur: 'blur',
  equalise: 'equalize',
  posterise: 'posterize',
  solarise: 'solarize',
  solariseadd: 'solarizeAdd',
};

/**
 * An op's name from any case or hyphenation (`shear-x`, `ShearX`); throws `usage` with the nearest
 * name.
 */
export const findOp = (name: string): OpName => findName(name, opNames, 'op', aliases);

/** What a value of the op has to be, such as `degrees from -180 to 180`. */
function expectedOf(name: OpName): string {
  const { unit, phrase, limits } = ops[name];
  return unit === 'none' ? phrase : `${phrase} from ${limits[0]} to ${limits[1]}`;
}

/**
 * The value, when the op can take it; throws `usage`: `rotate 400: give degrees from -180 to 180`.
 * Ops without a value accept any.
 */
export function checkOp(name: OpName, value: number): number {
  const { unit, limits, whole } = ops[name];
  if (unit === 'none' || (value >= limits[0] && value <= limits[1] && (!whole || Number.isInteger(value))))
    return value;
  throw new PupilError('usage', `${hyphenated(name)} ${String(value)}: give ${expectedOf(name)}`);
}
