/** What of the images a person is asked to label, and the accuracy that can be told from the answers. */
import { wilson } from '../evaluate/metrics.js';
import type { Assistant, Proposal } from './protocol.js';

/** One proposal in so many is drawn at random: these are what the estimate is measured on. */
const randomEvery = 5;

/**
 * The next `count` proposals. `chosen`: what teaches most, best first; `drawn`: images in a random order;
 * `answered`: how many answers were given so far.
 */
export function mixed(
  chosen: readonly Proposal[],
  drawn: readonly number[],
  { answered, count }: { readonly answered: number; readonly count: number },
): Proposal[] {
  const taken = new Set<number>();
  const proposals: Proposal[] = [];
  const best = chosen.values(),
    random = drawn.values();
  const next = <T>(from: Iterator<T>, idOf: (item: T) => number): T | undefined => {
    for (;;) {
      const { done, value } = from.next() as IteratorResult<T, undefined>;
      if (done === true) return undefined;
      if (!taken.has(idOf(value))) return value;
    }
  };
  for (let i = 0; proposals.length < count; i++) {
    const isRandom = (answered + i) % randomEvery === randomEvery - 1;
    const typical = isRandom ? undefined : next(best, ({ id }) => id);
    const id = typical?.id ?? next(random, (one) => one);
    if (id === undefined) break;
    taken.add(id);
    proposals.push(typical ?? { id, why: 'random' });
  }
  return proposals;
}

/**
 * What comes into the sample that the accuracy is measured on with images that are drawn from a random order: also
 * those before them that have labels already, because they taught most or a suggestion was accepted. The beginning of a
 * random order is a sample of all images; those drawn alone would be one of what was left.
 */
export function sampleUpTo(
  drawn: readonly number[],
  order: readonly number[],
  isLabelled: (id: number) => boolean,
): number[] {
  const fresh = new Set(drawn);
  const last = order.findLastIndex((id) => fresh.has(id));
  return order.slice(0, last + 1).filter((id) => fresh.has(id) || isLabelled(id));
}

/** An image of that sample that has a label: what it is, and what a model said that was not told. */
export interface Drawn {
  readonly label: string;
  /** undefined: it looked like no class, which counts as wrong. */
  readonly said: string | undefined;
}

/** Only the beginning of a random order is a sample of all. Null as long as there is none. */
export function estimateOf(drawn: readonly Drawn[]): Assistant['estimate'] {
  if (drawn.length === 0) return null;
  const accuracy = drawn.filter(({ label, said }) => said === label).length / drawn.length;
  return { accuracy, interval: wilson(accuracy, drawn.length), images: drawn.length };
}
