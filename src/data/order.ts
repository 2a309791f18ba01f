import { Random } from '../random.js';

export interface OrderOptions {
  readonly seed: number;
  /** Random order, another one each epoch; false gives 0, 1, 2... */
  readonly shuffle: boolean;
  /** Every class equally often: small classes repeat, large ones give another part each epoch. */
  readonly balance?: boolean | undefined;
}

/**
 * The indices (into `labels`) of epoch `epoch`, in order; as many as there are labels. Depends on
 * nothing else.
 */
export function epochOrder(
  labels: readonly number[],
  epoch: number,
  { seed, shuffle, balance = false }: OrderOptions,
): number[] {
  const all = labels.map((_, index) => index);
  if (!shuffle) return all;
  const random = new Random(seed, 'order', epoch);
  if (!balance) return random.shuffle(all);
  const byLabel = new Map<number, number[]>();
  for (const index of all) {
    const members = byLabel.get(labels[index]!);
    if (members === undefined) byLabel.set(labels[index]!, [index]);
    else members.push(index);
  }
  const groups = [...byLabel].sort(([a], [b]) => a - b).map(([, members]) => members);
  const share = Math.floor(all.length / groups.length);
  // What does not divide evenly goes to other classes each epoch.
  const extra = new Set(random.shuffle(groups.map((_, group) => group)).slice(0, all.length - share * groups.length));
  return random.shuffle(groups.flatMap((members, group) => cycle(members, share + (extra.has(group) ? 1 : 0), random)));
}

/** `count` items: whole shuffles of `items` one after another, the last one cut. */
export function cycle(items: readonly number[], count: number, random: Random): number[] {
  const result: number[] = [];
  while (result.length < count)
    for (const item of random.shuffle(items).slice(0, count - result.length)) result.push(item);
  return result;
}
