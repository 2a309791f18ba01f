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

/** An image that was proposed at random and has a label: what it is, and what a model said that was not told. */
export interface Drawn {
  readonly label: string;
  /** undefined: it looked like no class, which counts as wrong. */
  readonly said: string | undefined;
}

/** Only images that were proposed at random are a sample of all. Null as long as there is none. */
export function estimateOf(drawn: readonly Drawn[]): Assistant['estimate'] {
  if (drawn.length === 0) return null;
  const accuracy = drawn.filter(({ label, said }) => said === label).length / drawn.length;
  return { accuracy, interval: wilson(accuracy, drawn.length), images: drawn.length };
}
