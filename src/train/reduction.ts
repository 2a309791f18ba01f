import type { Engine } from '../engine/engine.js';
import type { Ranks } from '../parallel/ranks.js';
import type { TrainingStep } from './step.js';

/** What several ranks exchange between the gradients of a step and its update. */
interface Reduced {
  readonly engine: Engine;
  readonly step: TrainingStep;
  readonly ranks: Ranks;
}

/** Puts what all ranks found in the place of what this one did: in the store, and in `scalars` by their names. */
export type Reduction = (scalars: Record<string, number>) => Promise<void>;

/** Scalars that count images: summed; all others are means over them. */
const counts = new Set(['correct']);

/**
 * The reduction of gradients (sums), running statistics and scalars (means) over all ranks. Entries that the engines
 * of all ranks keep alike are summed where they lie, the others in copies. All ranks call it at the same place, with
 * their programs compiled; the store holds the entries.
 */
export async function openReduction({ engine, step, ranks }: Reduced): Promise<Reduction> {
  if (ranks.size === 1) return () => Promise.resolve();
  const entries = [...step.summedOverRanks, ...step.averagedOverRanks];
  const alike = await keptAlike(entries, engine, ranks);
  const lent = entries.filter((name) => alike.has(name)),
    copied = entries.filter((name) => !alike.has(name));
  const names = ['loss', ...step.metrics];
  return async (scalars) => {
    const copies = await engine.read(copied),
      values = new Map<string, Float32Array>();
    for (const [name, { data }] of [...(await engine.lend(lent)), ...copies]) values.set(name, data as Float32Array);
    const own = Float32Array.from(names, (name) => scalars[name]!);
    await ranks.sum([...entries.map((name) => values.get(name)!), own]);
    for (const name of step.averagedOverRanks) {
      const sums = values.get(name)!;
      for (let i = 0; i < sums.length; i++) sums[i] = sums[i]! / ranks.size;
    }
    if (copies.size > 0) await engine.write(copies, { transfer: true });
    names.forEach((name, i) => (scalars[name] = own[i]! / (counts.has(name) ? 1 : ranks.size)));
  };
}

/** Those of the entries whose elements lie in the same order in the engines of all ranks. */
async function keptAlike(names: readonly string[], engine: Engine, ranks: Ranks): Promise<ReadonlySet<string>> {
  const lent = await engine.lend(names);
  const orders = names.map((name) => lent.get(name)?.order ?? '');
  const first = await ranks.share(orders);
  const agreeing = Float32Array.from(orders, (order, i) => Number(order !== '' && order === first[i]));
  await ranks.sum([agreeing]);
  return new Set(names.filter((_, i) => agreeing[i] === ranks.size));
}
