/** Images that are the same but for their bytes, or look nearly the same. */
import { setImmediate } from 'node:timers/promises';
import type { Fingerprint } from './fingerprint.js';
import type { Sample } from './sample.js';

/** Two contents that show the same. */
export interface Alike {
  readonly first: Sample;
  readonly second: Sample;
  /** Whether their pixels are equal, and only the bytes of the files differ. */
  readonly samePixels: boolean;
}

/**
 * Bits of 256 by which looks may differ. Measured on flowers: other sizes, JPEG of quality 30 and
 * brightness change up to 30 bits, crops and shifts by 3% 25 to 60, different photos 77 and more.
 */
const nearest = 41;
/** Of the 32 lowest frequencies. */
const nearestLow = 8;
/** Images up to which each is compared with each; of more, those with equal lowest 16 frequencies. */
const mostCompared = 60_000;

interface Look {
  readonly sample: Sample;
  readonly words: Int32Array;
}

/**
 * Pairs of different contents among samples that have the same pixels or look alike, in their order.
 * Of many that look alike each is paired with the first one.
 */
export async function findAlike(
  samples: readonly Sample[],
  printOf: (hash: string) => Fingerprint | undefined,
): Promise<Alike[]> {
  const contents = new Map<string, Sample>();
  for (const sample of samples) if (!contents.has(sample.hash)) contents.set(sample.hash, sample);
  const pairs: Alike[] = [];
  const byPixels = new Map<string, Sample>();
  const looks: Look[] = [];
  for (const sample of contents.values()) {
    const print = printOf(sample.hash);
    if (print === undefined) continue;
    const same = byPixels.get(print.pixels);
    if (same !== undefined) pairs.push({ first: same, second: sample, samePixels: true });
    else {
      byPixels.set(print.pixels, sample);
      if (print.look !== '') looks.push({ sample, words: wordsOf(print.look) });
    }
  }
  for (const bucket of looks.length <= mostCompared ? [looks] : bucketsOf(looks)) {
    for (const [i, { sample, words }] of bucket.entries()) {
      for (let j = 0; j < i; j++) {
        const other = bucket[j]!;
        if (isNear(words, other.words)) pairs.push({ first: other.sample, second: sample, samePixels: false });
      }
      if (i % 500 === 499) await setImmediate();
    }
  }
  return pairs;
}

const wordsOf = (look: string): Int32Array => {
  const bytes = Buffer.from(look, 'hex');
  return Int32Array.from({ length: 8 }, (_, i) => bytes.readInt32LE(i * 4));
};

function bucketsOf(looks: readonly Look[]): Look[][] {
  const buckets = new Map<number, Look[]>();
  for (const look of looks) {
    const key = look.words[0]! & 0xffff;
    if (!buckets.has(key)) buckets.set(key, []);
    buckets.get(key)!.push(look);
  }
  return [...buckets.values()];
}

function isNear(a: Int32Array, b: Int32Array): boolean {
  let bits = ones(a[0]! ^ b[0]!);
  if (bits > nearestLow) return false;
  for (let i = 1; i < 8 && bits <= nearest; i++) bits += ones(a[i]! ^ b[i]!);
  return bits <= nearest;
}

function ones(word: number): number {
  let bits = word - ((word >>> 1) & 0x55555555);
  bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333);
  return Math.imul((bits + (bits >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

/**
 * The samples, those that look alike, directly or by others between them, with a common `group`.
 * Where that were more than half of a class's contents, looks say little: they stay apart.
 */
export function withGroups<T extends Sample>(samples: readonly T[], pairs: readonly Alike[]): T[] {
  const parents = new Map<string, string>();
  const rootOf = (hash: string): string => {
    let root = hash;
    for (let up = parents.get(root); up !== undefined; up = parents.get(root)) root = up;
    for (let at = hash; at !== root;) {
      const up = parents.get(at)!;
      parents.set(at, root);
      at = up;
    }
    return root;
  };
  for (const { first, second } of pairs) {
    const [a, b] = [rootOf(first.hash), rootOf(second.hash)].sort();
    if (a !== b) parents.set(b!, a!);
  }
  const grouped = new Set([...parents.values()].map(rootOf));
  const sizes = new Map<string, number>();
  const add = (key: string): void => void sizes.set(key, (sizes.get(key) ?? 0) + 1);
  for (const { hash, label } of new Map(samples.map((sample) => [`${sample.label} ${sample.hash}`, sample])).values()) {
    add(String(label));
    add(`${label} ${rootOf(hash)}`);
  }
  return samples.map((sample) => {
    const group = rootOf(sample.hash);
    const size = sizes.get(`${sample.label} ${group}`)!;
    const isMost = size > 2 && size > sizes.get(String(sample.label))! / 2;
    return grouped.has(group) && !isMost ? { ...sample, group } : sample;
  });
}
