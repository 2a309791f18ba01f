/**
 * What a magnitude means. The same number stands for very different strengths in the published
 * implementations, so every policy names its scale: a table from op to value in the op's natural
 * unit.
 */
import { PupilError } from '../../errors.js';
import type { Colour, Size } from '../../image/image.js';
import { hyphenated } from '../names.js';
import { ops, type OpName } from '../ops.js';
import { type ScaleName } from '../scale-names.js';

export { scaleNames, type ScaleName } from '../scale-names.js';

/** A value in the op's unit, and whether a policy draws a sign for it (`applySign`). */
export interface Magnitude {
  readonly value: number;
  readonly signed: boolean;
}

/** From magnitude to value; `side` is the width for ops along x, the height along y. */
interface Level {
  readonly at: (m: number, side: number) => number;
  readonly signed: boolean;
}
type Levels = Partial<Readonly<Record<OpName, Level>>>;

const signed = (at: Level['at']): Level => ({ at, signed: true });
const oneSided = (at: Level['at']): Level => ({ at, signed: false });
const clip = (value: number, low: number, high: number): number => Math.min(high, Math.max(low, value));

const both = (shear: Level, translate: Level): Levels => ({
  shearX: shear,
  shearY: shear,
  translateX: translate,
  translateY: translate,
});
const enhanced = (level: Level): Levels => ({ brightness: level, color: level, contrast: level, sharpness: level });

/** Ops that no publication gives a magnitude: the project's own ranges, full at `top`. */
const extras = (top: number): Levels => ({
  hue: signed((m) => 0.5 * clip(m / top, 0, 1)),
  blur: oneSided((m) => 0.1 + 1.9 * clip(m / top, 0, 1)),
  solarizeAdd: oneSided((m) => Math.trunc(110 * clip(m / top, 0, 1))),
});

/**
 * Entry m of top + 1 evenly spaced numbers from 0 to `most` in single precision, counted from the
 * nearer end as PyTorch does.
 */
function spaced(most: number, top: number, m: number): number {
  const end = Math.fround(most),
    step = Math.fround(end / top);
  return m < Math.floor((top + 1) / 2) ? Math.fround(step * m) : Math.fround(end - step * (top - m));
}

interface Ranges {
  /** The largest magnitude, at which every op has its full range. */
  readonly top: number;
  readonly shear: number;
  readonly degrees: number;
  readonly factor: number;
  readonly pixels: (side: number) => number;
  /** Bits kept at magnitude 0, and how many fewer at the top. */
  readonly bits: readonly [first: number, fewer: number];
}

/** torchvision's kind of scale: linear, enhancing factors on both sides of 1, whole pixels. */
const linear = ({ top, shear, degrees, factor, pixels, bits: [first, fewer] }: Ranges): Levels => ({
  ...extras(top),
  ...both(
    signed((m) => (m / top) * shear),
    signed((m, side) => Math.trunc(spaced(pixels(side), top, m))),
  ),
  ...enhanced(signed((m) => 1 + (m / top) * factor)),
  rotate: signed((m) => (m / top) * degrees),
  posterize: oneSided((m) => first - Math.round((m / top) * fewer)),
  solarize: oneSided((m) => 255 - (m / top) * 255),
});

const usual = {
  shear: 0.3,
  degrees: 30,
  factor: 0.9,
  bits: [8, 4],
  pixels: (side: number) => (150 / 331) * side,
} as const;

/** Tenths, as in the authors' code; what both it and timm share. */
const tenths: Levels = {
  ...extras(10),
  ...enhanced(oneSided((m) => (m / 10) * 1.8 + 0.1)),
  rotate: signed((m) => (m / 10) * 30),
  posterize: oneSided((m) => clip(Math.trunc((m / 10) * 4), 0, 8)),
  solarize: oneSided((m) => Math.min(256, Math.trunc((m / 10) * 256))),
};
const tenthsShear = signed((m) => (m / 10) * 0.3);
const timm: Levels = {
  ...tenths,
  ...both(
    tenthsShear,
    signed((m, side) => (m / 10) * 0.45 * side),
  ),
  solarizeAdd: oneSided((m) => Math.min(128, Math.trunc((m / 10) * 110))),
};

/**
 * The authors shift by 10 px a magnitude whatever the size. Below 224 px this is the same share of
 * the side, and nowhere more than half of it: 270 px at magnitude 27 would leave nothing of most
 * images.
 */
const paperShift = (m: number, side: number): number =>
  Math.round(Math.min(10 * m * Math.min(1, side / 224), side / 2));

const scales = {
  'torchvision': linear({ ...usual, top: 30 }),
  'paper': {
    ...tenths,
    ...both(tenthsShear, signed(paperShift)),
    solarizeAdd: oneSided((m) => Math.min(255, Math.trunc((m / 10) * 110))),
  },
  timm,
  'timm-increasing': {
    ...timm,
    ...enhanced(signed((m) => 1 + (m / 10) * 0.9)),
    posterize: oneSided((m) => clip(4 - Math.trunc((m / 10) * 4), 0, 8)),
    solarize: oneSided((m) => 256 - Math.min(256, Math.trunc((m / 10) * 256))),
  },
  /** Magnitudes 0 to 9 of AutoAugment's sub-policies, as torchvision reads them. */
  'autoAugment': linear({ ...usual, top: 9 }),
  /** TrivialAugmentWide (Mueller and Hutter 2021). */
  'trivial': linear({ top: 30, shear: 0.99, degrees: 135, factor: 0.99, bits: [8, 6], pixels: () => 32 }),
  /** Magnitudes 0 to 9 of AugMix (Hendrycks et al. 2020), as torchvision reads them. */
  'augMix': linear({ ...usual, top: 9, bits: [4, 4], pixels: (side) => side / 3 }),
} as const satisfies Record<ScaleName | 'autoAugment' | 'trivial' | 'augMix', Levels>;

/** The named scales and those that belong to one policy. */
export type AnyScale = keyof typeof scales;

/**
 * The largest magnitude of a scale: timm clips at 10, torchvision has 31 bins; nothing published
 * goes beyond 30.
 */
export const largest: Readonly<Record<ScaleName, number>> = {
  'torchvision': 30,
  'paper': 30,
  'timm': 10,
  'timm-increasing': 10,
};

/** Grey where the publication fills with grey, else black. */
export const fillOf = (scale: AnyScale): Colour =>
  scale === 'paper' || scale.startsWith('timm') ? [128, 128, 128] : [0, 0, 0];

const published14: readonly OpName[] = [
  'identity',
  'shearX',
  'shearY',
  'translateX',
  'translateY',
  'rotate',
  'brightness',
  'color',
  'contrast',
  'sharpness',
  'posterize',
  'solarize',
  'autoContrast',
  'equalize',
];
const timm15: readonly OpName[] = [
  'autoContrast',
  'equalize',
  'invert',
  'rotate',
  'posterize',
  'solarize',
  'solarizeAdd',
  'color',
  'contrast',
  'brightness',
  'sharpness',
  'shearX',
  'shearY',
  'translateX',
  'translateY',
];

/**
 * The ops that RandAugment draws from: the paper's 14, which are torchvision's; timm's 15 (no
 * identity; invert and solarizeAdd). The authors' own code has timm's 15 and Cutout (here random
 * erasing): `ops` of randAugment takes such a list.
 */
export const opsOf: Readonly<Record<ScaleName, readonly OpName[]>> = {
  'torchvision': published14,
  'paper': published14,
  'timm': timm15,
  'timm-increasing': timm15,
};

const alongY = (op: OpName): boolean => op === 'translateY';

/**
 * The value of magnitude `m` in the op's natural unit, for an image of `size`: degrees, tangent,
 * pixels, factor, bits kept, threshold, amount. On its positive side; where `signed`, a policy
 * draws the side and `applySign` turns it; 0 for ops that take no number. Throws `usage` for an op
 * that has none on this scale.
 */
export function magnitude(scale: AnyScale, op: OpName, m: number, size: Size): Magnitude {
  if (ops[op].unit === 'none') return { value: 0, signed: false };
  const level = (scales[scale] as Levels)[op];
  if (level === undefined) throw new PupilError('usage', `scale ${scale} has no magnitude for op "${hyphenated(op)}"`);
  return { value: level.at(m, alongY(op) ? size.height : size.width), signed: level.signed };
}

/**
 * The value on the other side of the one that changes nothing: -value, or 2 - value for factors (at
 * least 0.1 on timm's scale).
 */
export function applySign(scale: AnyScale, op: OpName, value: number): number {
  if (ops[op].unit !== 'factor') return value === 0 ? 0 : -value;
  return scale === 'timm-increasing' ? Math.max(0.1, 2 - value) : 2 - value;
}
