/** Images that are the same but for their bytes, or look nearly the same. */
import type { Fingerprint } from './fingerprint.js';
import { createNeighbours, type Neighbours } from './neighbours.js';
import type { Sample } from './sample.js';

/** Two contents that show the same. */
export interface Alike {
  readonly first: Sample;
  readonly second: Sample;
  /** Whether their pixels are equal, and only the bytes of the files differ. */
  readonly samePixels: boolean;
}

/**
 * Pairs of different contents among samples that have the same pixels or look alike, in their order.
 * Of many that have the same pixels each is paired with the first one. `neighbours` remembers what it
 * compared: that of a pool, for all who use it.
 */
export async function findAlike(
  samples: readonly Sample[],
  printOf: (hash: string) => Fingerprint | undefined,
  neighbours: Neighbours = createNeighbours(),
): Promise<Alike[]> {
  const contents = new Map<string, Sample>();
  for (const sample of samples) if (!contents.has(sample.hash)) contents.set(sample.hash, sample);
  const pairs: Alike[] = [];
  const byPixels = new Map<string, Sample>();
  const looks = new Map<string, string>();
  for (const sample of contents.values()) {
    const print = printOf(sample.hash);
    if (print === undefined) continue;
    const same = byPixels.get(print.pixels);
    if (same !== undefined) pairs.push({ first: same, second: sample, samePixels: true });
    else {
      byPixels.set(print.pixels, sample);
      if (print.look !== '') looks.set(sample.hash, print.look);
    }
  }
  const near = await neighbours.among(looks);
  const places = new Map([...looks.keys()].map((hash, place) => [hash, place]));
  for (const [hash, place] of places)
    for (const other of (near.get(hash) ?? [])
      .filter((one) => (places.get(one) ?? Infinity) < place)
      .sort((a, b) => places.get(a)! - places.get(b)!))
      pairs.push({ first: contents.get(other)!, second: contents.get(hash)!, samePixels: false });
  return pairs;
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
