/** Looks of images that differ in few bits, each compared with each other once. */
import { setImmediate } from 'node:timers/promises';

/**
 * Bits of 256 by which looks may differ. Measured on flowers: other sizes, JPEG of quality 30 and
 * brightness change up to 30 bits, crops and shifts by 3% 25 to 60, different photos 77 and more.
 */
const nearest = 41;
/** Of the 32 lowest frequencies. */
const nearestLow = 8;
/** Looks up to which each is compared with each: five billion pairs, some seconds. */
const mostCompared = 100_000;

export interface Neighbours {
  /** For each of these looks (hexadecimal, by the hash of its content): the hashes of others near it. */
  among(looks: ReadonlyMap<string, string>): Promise<ReadonlyMap<string, readonly string[]>>;
}

/**
 * Looks that were compared are remembered: each call compares only those that are new to it. Of more than
 * 100,000 only those are compared of which a half of the 32 lowest frequencies is the same but for
 * one bit.
 */
export function createNeighbours(): Neighbours {
  let known = createSet();
  return {
    async among(looks) {
      if (looks.size > mostCompared) return compareSome(looks);
      if (known.size() > mostCompared) known = createSet();
      let added = 0;
      for (const [hash, look] of looks) if (known.add(hash, look) && ++added % 200 === 0) await setImmediate();
      return known.near;
    },
  };
}

interface Looks {
  size(): number;
  /** Compares a look with those before it; false where it is known. */
  add(hash: string, look: string): boolean;
  readonly near: ReadonlyMap<string, readonly string[]>;
}

/** Words of a look, the lowest frequencies first. */
const words = 8;

function createSet(): Looks {
  const hashes: string[] = [],
    place = new Map<string, number>(),
    near = new Map<string, string[]>();
  // The first words stand together: most comparisons end with them.
  let firsts = new Int32Array(1024),
    all = new Int32Array(1024 * words);
  return {
    size: () => hashes.length,
    near,
    add(hash, look) {
      if (place.has(hash)) return false;
      const at = hashes.length;
      if (at === firsts.length) {
        firsts = grown(firsts);
        all = grown(all);
      }
      all.set(wordsOf(look), at * words);
      const first = (firsts[at] = all[at * words]!);
      for (let i = 0; i < at; i++)
        if (ones(first ^ firsts[i]!) <= nearestLow && isNear(all, at, i)) link(near, hash, hashes[i]!);
      place.set(hash, at);
      hashes.push(hash);
      return true;
    },
  };
}

/** Compares looks of which one half of the first word is in one of the buckets nearby. */
async function compareSome(looks: ReadonlyMap<string, string>): Promise<ReadonlyMap<string, readonly string[]>> {
  const near = new Map<string, string[]>(),
    hashes = [...looks.keys()];
  const all = new Int32Array(hashes.length * words);
  const buckets = [new Map<number, number[]>(), new Map<number, number[]>()];
  for (const [at, look] of [...looks.values()].entries()) {
    all.set(wordsOf(look), at * words);
    const first = all[at * words]!;
    const found = new Set<number>();
    for (const [half, bucket] of buckets.entries()) {
      const key = (half === 0 ? first : first >>> 16) & 0xffff;
      for (let bit = -1; bit < 16; bit++)
        for (const other of bucket.get(bit < 0 ? key : key ^ (1 << bit)) ?? [])
          if (isNear(all, at, other)) found.add(other);
      const same = bucket.get(key);
      if (same === undefined) bucket.set(key, [at]);
      else if (same.length < mostInBucket) same.push(at);
    }
    for (const other of found) link(near, hashes[at]!, hashes[other]!);
    if (at % 200 === 199) await setImmediate();
  }
  return near;
}

/** Looks in a bucket that later ones are compared with: of thousands of the same kind, not all pairs. */
const mostInBucket = 2000;

const grown = (array: Int32Array<ArrayBuffer>): Int32Array<ArrayBuffer> => {
  const larger = new Int32Array(array.length * 2);
  larger.set(array);
  return larger;
};

function link(near: Map<string, string[]>, one: string, other: string): void {
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    const list = near.get(from);
    if (list === undefined) near.set(from, [to]);
    else list.push(to);
  }
}

function wordsOf(look: string): Int32Array {
  const bytes = Buffer.from(look, 'hex');
  return Int32Array.from({ length: words }, (_, i) => bytes.readInt32LE(i * 4));
}

function isNear(all: Int32Array, a: number, b: number): boolean {
  let bits = ones(all[a * words]! ^ all[b * words]!);
  if (bits > nearestLow) return false;
  for (let i = 1; i < words && bits <= nearest; i++) bits += ones(all[a * words + i]! ^ all[b * words + i]!);
  return bits <= nearest;
}

function ones(word: number): number {
  let bits = word - ((word >>> 1) & 0x55555555);
  bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333);
  return Math.imul((bits + (bits >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}
