/**
 * Mixing of whole batches: each image with another of its batch, and their labels in the same
 * proportion.
 */
import { PupilError } from '../errors.js';
import { allocate, release } from '../image/buffers.js';
import type { Box, Size } from '../image/image.js';
import type { Random } from '../random.js';

/**
 * How batches are mixed: CutMix (Yun et al. 2019), MixUp (Zhang et al. 2018), or one of the two at
 * random.
 */
export interface MixingSpec {
  /** CutMix with lambda ~ Beta(alpha, alpha); 0 or absent: off. */
  readonly cutmix?: number;
  /** MixUp with lambda ~ Beta(alpha, alpha); 0 or absent: off. */
  readonly mixup?: number;
  /** Share of batches that are mixed; default 1. */
  readonly probability?: number;
  /** Share of CutMix among the mixed batches where both are on; default 0.5. */
  readonly switchProbability?: number;
  /**
   * CutMix: lambda is computed again from the box once it is clipped to the image; default true.
   */
  readonly correct?: boolean;
}

/** What was drawn for a batch: plain data. */
export interface Mix {
  readonly kind: 'cutmix' | 'mixup';
  /** The share of an image's own label; its partner's has the rest. */
  readonly lambda: number;
  /** For each image the one that it is mixed with: a permutation. */
  readonly partners: readonly number[];
  /** CutMix: what is taken from the partner, in pixels; may be empty. */
  readonly box?: Box;
}

/** Whether there is anything to mix. Throws `usage` for impossible values. */
export function mixes({ cutmix = 0, mixup = 0, probability = 1, switchProbability = 0.5 }: MixingSpec): boolean {
  for (const [name, alpha] of [
    ['cutmix', cutmix],
    ['mixup', mixup],
  ] as const) {
    if (!(alpha >= 0 && alpha < Infinity))
      throw new PupilError('usage', `${name} ${alpha}: give the alpha of Beta(alpha, alpha), above 0 (or 0: off)`, {
        option: 'alpha',
      });
  }
  for (const [name, share] of [
    ['probability', probability],
    ['switchProbability', switchProbability],
  ] as const) {
    if (!(share >= 0 && share <= 1))
      throw new PupilError('usage', `\`${name}\` takes a number from 0 to 1, got ${share}`, { option: name });
  }
  return (cutmix > 0 || mixup > 0) && probability > 0;
}

/**
 * Draws how a batch of `count` images of `width` x `height` pixels is mixed; null: not at all. Any
 * count will do. Partners are a random permutation, as in Yun et al.'s code (an image may be its
 * own); one lambda and one box serve the whole batch.
 */
export function sampleMix(random: Random, spec: MixingSpec, count: number, { width, height }: Size): Mix | null {
  if (!mixes(spec)) return null;
  const { cutmix = 0, mixup = 0, probability = 1, switchProbability = 0.5, correct = true } = spec;
  if (!random.chance(probability)) return null;
  const cut = cutmix > 0 && (!(mixup > 0) || random.chance(switchProbability));
  const alpha = cut ? cutmix : mixup;
  const drawn = random.beta(alpha, alpha);
  // A tiny alpha is a coin, and its gamma variates may both be rounded to 0.
  const lambda = Number.isNaN(drawn) ? Number(random.chance(0.5)) : drawn;
  const partners = random.shuffle(Array.from({ length: count }, (_, i) => i));
  if (!cut) return { kind: 'mixup', lambda, partners };
  // A box of side sqrt(1 - lambda) about a uniform centre: its area is 1 - lambda of the image
  // where it is not clipped.
  const side = Math.sqrt(1 - lambda);
  const [left, right] = span(random.integer(width), side, width);
  const [top, bottom] = span(random.integer(height), side, height);
  const box = { left, top, width: right - left, height: bottom - top };
  return { kind: 'cutmix', lambda: correct ? 1 - (box.width * box.height) / (width * height) : lambda, partners, box };
}

/** The part within [0, size] of `share` of it about `centre`. */
function span(centre: number, share: number, size: number): [low: number, high: number] {
  const half = Math.floor((size * share) / 2);
  return [Math.max(0, centre - half), Math.min(size, centre + half)];
}

/**
 * What some rows of a batch, from `from` on, need of a mix: the rows `others` that they are mixed with,
 * to be put after them, and how these and they mix. What becomes of the others is of no use.
 */
export function partOfMix(
  mix: Mix,
  { from, count }: { readonly from: number; readonly count: number },
): { readonly others: readonly number[]; readonly mix: Mix } {
  const place = new Map(Array.from({ length: count }, (_, i) => [from + i, i]));
  const partners = Array.from({ length: count }, (_, i) => {
    const partner = mix.partners[from + i]!;
    if (!place.has(partner)) place.set(partner, place.size);
    return place.get(partner)!;
  });
  // A permutation again: each row from elsewhere gets one of the rows that nobody takes.
  const taken = new Set(partners);
  const left = Array.from({ length: place.size }, (_, i) => i).filter((i) => !taken.has(i));
  return { others: [...place.keys()].slice(count), mix: { ...mix, partners: [...partners, ...left] } };
}

/**
 * Mixes a batch in place: `pixels` is uint8 [count, height, width, 3]. MixUp rounds to the nearest
 * byte, halves up.
 */
export function mixPixels(pixels: Uint8Array, { width, height }: Size, { kind, lambda, partners, box }: Mix): void {
  const size = width * height * 3;
  const imageAt = (index: number): Uint8Array => pixels.subarray(index * size, (index + 1) * size);
  const first = allocate(size);
  if (kind === 'mixup') {
    overwrite(
      partners,
      (own) => first.set(imageAt(own)),
      (own, partner) => blend(imageAt(own), partner < 0 ? first : imageAt(partner), lambda),
    );
  } else if (box && box.width > 0 && box.height > 0) {
    const from = (box.top * width + box.left) * 3,
      stride = width * 3,
      bytes = box.width * 3;
    const rows = (visit: (row: number) => void): void => {
      for (let row = from; row < from + box.height * stride; row += stride) visit(row);
    };
    overwrite(
      partners,
      (own) => rows((row) => first.set(pixels.subarray(own * size + row, own * size + row + bytes), row)),
      (own, partner) =>
        rows((row) =>
          partner < 0
            ? pixels.set(first.subarray(row, row + bytes), own * size + row)
            : pixels.copyWithin(own * size + row, partner * size + row, partner * size + row + bytes),
        ),
    );
  }
  release(first);
}

/** Mixes targets in place: float32 [count, classes], rows lambda a + (1 - lambda) b. */
export function mixTargets(targets: Float32Array, { lambda, partners }: Mix): void {
  const classes = targets.length / partners.length;
  const first = new Float32Array(classes);
  overwrite(
    partners,
    (own) => first.set(targets.subarray(own * classes, (own + 1) * classes)),
    (own, partner) => {
      for (let c = 0; c < classes; c++) {
        const other = partner < 0 ? first[c]! : targets[partner * classes + c]!;
        targets[own * classes + c] = lambda * targets[own * classes + c]! + (1 - lambda) * other;
      }
    },
  );
}

/**
 * Overwrites rows by functions of themselves and their partners' old contents, with room for one
 * row: along each cycle of the permutation, a row's partner comes after it, and the first row,
 * which the last one needs (`partner` -1), is kept aside.
 */
function overwrite(
  partners: readonly number[],
  keep: (first: number) => void,
  write: (own: number, partner: number) => void,
): void {
  const done = new Uint8Array(partners.length);
  for (let first = 0; first < partners.length; first++) {
    if (done[first] === 1 || partners[first] === first) continue;
    keep(first);
    for (let own = first; done[own] === 0;) {
      done[own] = 1;
      const partner = partners[own]!;
      write(own, partner === first ? -1 : partner);
      own = partner;
    }
  }
}

/** a = lambda a + (1 - lambda) b, over bytes. */
function blend(a: Uint8Array, b: Uint8Array, lambda: number): void {
  const rest = 1 - lambda;
  for (let i = 0; i < a.length; i++) a[i] = lambda * a[i]! + rest * b[i]! + 0.5;
}
