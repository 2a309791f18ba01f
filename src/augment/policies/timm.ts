/**
 * timm's strings (`rand-m9-n2-mstd0.5-inc1`, `augmix-m3-w3`, `original`): their sections, their op
 * lists and their magnitudes.
 */
import { PupilError } from '../../errors.js';
import type { Size } from '../../image/image.js';
import { suggestion } from '../../nearest.js';
import type { Random } from '../../random.js';
import type { OpName } from '../ops.js';
import type { Drawn } from './draw.js';
import { applySign, magnitude, opsOf, type Magnitude } from './scales.js';
import { subPolicies } from './tables.js';

type TimmScale = 'timm' | 'timm-increasing';

/**
 * Which of timm's readings of an op is meant: those of its two scales; posterize with 4 to 8 bits
 * (`PosterizeOriginal`); color as the share of grey (`Desaturate`); blur with a sigma drawn up to 2
 * (`GaussianBlurRand`).
 */
type Reading = TimmScale | 'original' | 'desaturate' | 'random';

/** One op of a timm policy. */
export interface TimmOp {
  readonly op: OpName;
  readonly reading: Reading;
  readonly probability: number;
  readonly magnitude: number;
}

interface Noise {
  /** Standard deviation of the magnitude; infinite: uniform from 0 to the magnitude. */
  readonly deviation: number;
  /** Where magnitudes are clipped. */
  readonly most: number;
}

/** What a timm string says. */
export type TimmPolicy = Noise &
  (
    | {
        readonly kind: 'rand';
        readonly layers: number;
        readonly ops: readonly TimmOp[];
        /** Where given, ops are drawn by these, without replacement. */
        readonly weights?: readonly number[] | undefined;
      }
    | { readonly kind: 'auto'; readonly policies: readonly (readonly TimmOp[])[] }
    | {
        readonly kind: 'augmix';
        readonly width: number;
        readonly depth: number;
        readonly alpha: number;
        readonly ops: readonly TimmOp[];
      }
  );

/** Value of a timm op at an exact magnitude, in the op's natural unit (see `magnitude`). */
export function timmMagnitude(op: OpName, reading: Reading, m: number, size: Size): Magnitude {
  switch (reading) {
    case 'original':
      return { value: Math.min(8, Math.trunc((m / 10) * 4) + 4), signed: false };
    case 'desaturate':
      return { value: Math.min(1, Math.max(0, 1 - Math.min(1, 0.5 + 0.5 * (m / 10)))), signed: false };
    case 'random':
      return { value: 2 * Math.min(1, m / 10), signed: false };
    default:
      return magnitude(reading, op, m, size);
  }
}

/** Draws whether the op is applied, the noise on its magnitude and its sign: one op or none. */
export function drawTimmOp(
  random: Random,
  { op, reading, probability, magnitude: mean }: TimmOp,
  { deviation, most }: Noise,
  size: Size,
): Drawn[] {
  if (!random.chance(probability)) return [];
  const noisy =
    deviation === Infinity ? random.between(0, mean) : deviation > 0 ? mean + deviation * random.normal() : mean;
  const { value, signed } = timmMagnitude(op, reading, Math.max(0, Math.min(noisy, most)), size);
  if (reading === 'random') return [{ op, value: random.between(0.1, value) }];
  return [
    {
      op,
      value:
        signed && random.chance(0.5) ? applySign(reading === 'timm-increasing' ? reading : 'timm', op, value) : value,
    },
  ];
}

const increasing = (op: OpName): Reading => (op === 'solarizeAdd' ? 'timm' : 'timm-increasing');

/**
 * Weighted op lists by timm's names (`tweights`, `t3aw`), `3a` unweighted, and `w0` of timm before
 * 0.9.
 */
const choices: Readonly<Record<string, Readonly<Partial<Record<OpName, number>>>>> = {
  'weights': {
    rotate: 3,
    shearX: 2,
    shearY: 2,
    translateX: 1,
    translateY: 1,
    color: 0.25,
    sharpness: 0.25,
    autoContrast: 0.25,
    solarize: 0.05,
    solarizeAdd: 0.05,
    contrast: 0.05,
    brightness: 0.05,
    equalize: 0.05,
    posterize: 0.05,
    invert: 0.05,
  },
  '3aw': {
    solarize: 6,
    color: 1,
    blur: 6,
    rotate: 3,
    shearX: 2,
    shearY: 2,
    posterize: 1,
    autoContrast: 1,
    sharpness: 1,
    contrast: 1,
    brightness: 1,
    equalize: 1,
    invert: 1,
  },
  '3a': { solarize: 1, blur: 1 },
  'w0': {
    rotate: 0.3,
    shearX: 0.2,
    shearY: 0.2,
    translateX: 0.1,
    translateY: 0.1,
    color: 0.025,
    sharpness: 0.025,
    autoContrast: 0.025,
    solarize: 0.005,
    solarizeAdd: 0.005,
    contrast: 0.005,
    brightness: 0.005,
    equalize: 0.005,
  },
};
/** The share of grey stands beside color in these lists. */
const desaturating: Readonly<Record<string, number>> = { '3aw': 6, '3a': 1 };

const augmixOps: readonly OpName[] = [
  'autoContrast',
  'color',
  'contrast',
  'brightness',
  'sharpness',
  'equalize',
  'rotate',
  'posterize',
  'solarize',
  'shearX',
  'shearY',
  'translateX',
  'translateY',
];

interface Section {
  readonly whole: boolean;
  readonly low: number;
  readonly high: number;
}
const number = (low: number, high: number): Section => ({ whole: false, low, high });
const whole = (low: number, high: number): Section => ({ whole: true, low, high });

const sections = {
  rand: {
    m: whole(0, 100),
    n: whole(0, 16),
    p: number(0, 1),
    mstd: number(0, Infinity),
    mmax: whole(1, 100),
    inc: whole(0, 1),
    w: whole(0, 0),
  },
  augmix: {
    m: whole(0, 10),
    w: whole(1, 16),
    d: whole(-1, 16),
    a: number(0.01, 100),
    b: whole(0, 1),
    mstd: number(0, Infinity),
  },
  auto: { mstd: number(0, Infinity) },
} as const satisfies Readonly<Record<string, Readonly<Record<string, Section>>>>;

const autoNames = ['original', 'originalr', 'v0', 'v0r', '3a'] as const;

/** The sections of a string as numbers; throws `usage` for one that is unknown or out of range. */
function readSections(
  text: string,
  parts: readonly string[],
  known: Readonly<Record<string, Section>>,
): Record<string, number> {
  const values: Record<string, number> = {};
  for (const part of parts) {
    const [, key = '', value = ''] = /^([a-z]*)(.*)$/.exec(part) ?? [];
    const section = Object.hasOwn(known, key) ? known[key] : undefined;
    if (section === undefined) {
      throw new PupilError(
        'usage',
        `timm:${text}: no section ${JSON.stringify(part)}; known: ${Object.keys(known).join(', ')}, each with a number`,
      );
    }
    if (Object.hasOwn(values, key)) throw new PupilError('usage', `timm:${text}: section ${key} is there twice`);
    const read = value === '' ? NaN : Number(value);
    if (!(read >= section.low && read <= section.high) || (section.whole && !Number.isInteger(read))) {
      const range =
        section.low === section.high
          ? String(section.low)
          : section.high === Infinity
            ? `a number from ${section.low}`
            : `a ${section.whole ? 'whole ' : ''}number from ${section.low} to ${section.high}`;
      throw new PupilError('usage', `timm:${text}: ${key} is ${JSON.stringify(value)}, expected ${range}`);
    }
    values[key] = read;
  }
  return values;
}

/**
 * Reads a timm string as timm does: `rand` (defaults m10, n2, p0.5, mstd0, magnitudes clipped at
 * mmax or 10), `augmix` (m3, w3, d-1, magnitudes uniform up to m unless mstd is given) or an
 * AutoAugment policy (`original`, `originalr`, `v0`, `v0r`, `3a`) with mstd. Its `w0` is that of
 * earlier versions. Throws `usage` for an unknown section.
 */
export function parseTimm(text: string): TimmPolicy {
  const [kind = '', ...parts] = text
    .toLowerCase()
    .replace(/-d-1\b/g, '')
    .split('-');
  if (kind === 'rand') return parseRand(text, parts);
  if (kind === 'augmix') {
    const {
      m = 3,
      w: width = 3,
      d: depth = -1,
      a: alpha = 1,
      mstd = Infinity,
    } = readSections(text, parts, sections.augmix);
    const ops = augmixOps.map((op) => ({ op, reading: increasing(op), probability: 1, magnitude: m }));
    return { kind, width, depth, alpha, deviation: mstd, most: 10, ops };
  }
  if ((autoNames as readonly string[]).includes(kind)) {
    const { mstd: deviation = 0 } = readSections(text, parts, sections.auto);
    return { kind: 'auto', deviation, most: 10, policies: autoPolicies(kind as (typeof autoNames)[number]) };
  }
  throw new PupilError(
    'usage',
    `timm:${text}: no policy ${JSON.stringify(kind)}: ${suggestion(kind, ['rand', 'augmix', ...autoNames])}`,
  );
}

function parseRand(text: string, parts: readonly string[]): TimmPolicy {
  const lists = parts.filter((part) => part.startsWith('t'));
  const list = lists.at(-1)?.slice(1);
  if (lists.length > 1 || (list !== undefined && !['weights', '3a', '3aw'].includes(list))) {
    throw new PupilError(
      'usage',
      `timm:${text}: no section ${JSON.stringify(lists.at(-1))}; op lists: tweights, t3a, t3aw`,
    );
  }
  const values = readSections(
    text,
    parts.filter((part) => !part.startsWith('t')),
    sections.rand,
  );
  if (list !== undefined && values.w !== undefined)
    throw new PupilError('usage', `timm:${text}: give w or t, not both`);
  const { m: magnitude = 10, n: layers = 2, p: probability = 0.5, mstd = 0, mmax: most = 10, inc = 0 } = values;
  const noise = { deviation: mstd > 100 ? Infinity : mstd, most };
  const chosen = list ?? (values.w === undefined ? undefined : 'w0');
  if (chosen === undefined) {
    const ops = opsOf.timm.map((op) => ({
      op,
      reading: inc === 1 ? increasing(op) : ('timm' as const),
      probability,
      magnitude,
    }));
    return { kind: 'rand', layers, ops, ...noise };
  }
  // timm's lists name the increasing ops; its w0 went with whichever `inc` chose.
  const reading = (op: OpName): Reading => (chosen === 'w0' && inc === 0 ? 'timm' : increasing(op));
  const rows = Object.entries(choices[chosen]!).map(([op, weight]) => ({
    op: op as OpName,
    weight,
    reading: reading(op as OpName),
  }));
  const grey = desaturating[chosen];
  if (grey !== undefined) rows.splice(1, 0, { op: 'color', weight: grey, reading: 'desaturate' });
  const weighted = chosen !== '3a';
  if (weighted && layers > rows.length) {
    throw new PupilError(
      'usage',
      `timm:${text}: n is ${layers}, but weighted ops are drawn without replacement and there are ${rows.length}`,
    );
  }
  return {
    kind: 'rand',
    layers,
    ...noise,
    ops: rows.map(({ op, reading: how }) => ({ op, reading: how, probability, magnitude })),
    weights: weighted ? rows.map(({ weight }) => weight) : undefined,
  };
}

function autoPolicies(name: (typeof autoNames)[number]): TimmOp[][] {
  if (name === '3a') {
    return [
      [{ op: 'solarize', reading: 'timm', probability: 1, magnitude: 5 }],
      [{ op: 'color', reading: 'desaturate', probability: 1, magnitude: 10 }],
      [{ op: 'blur', reading: 'random', probability: 1, magnitude: 10 }],
    ];
  }
  const reading = (op: OpName): Reading =>
    op !== 'posterize' || name === 'v0' ? 'timm' : name === 'original' ? 'original' : 'timm-increasing';
  return subPolicies[name.startsWith('v0') ? 'v0' : 'imagenet'].map((policy) =>
    policy.map(([op, probability, magnitude]) => ({ op, reading: reading(op), probability, magnitude })),
  );
}

/** `count` of the ops: with replacement, or with weights one after another without. */
export function chooseOps(random: Random, { ops, layers, weights }: Extract<TimmPolicy, { kind: 'rand' }>): TimmOp[] {
  if (weights === undefined) return Array.from({ length: layers }, () => ops[random.integer(ops.length)]!);
  const left = ops.map((op, i) => ({ op, weight: weights[i]! }));
  return Array.from({ length: layers }, () => {
    let mark = random.uniform() * left.reduce((sum, { weight }) => sum + weight, 0);
    const found = left.findIndex(({ weight }) => (mark -= weight) < 0);
    return left.splice(found < 0 ? left.length - 1 : found, 1)[0]!.op;
  });
}
