/** What of the images a person is asked to label, and the accuracy that can be told from the answers. */
import { effectiveCount, wilson } from '../evaluate/metrics.js';
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

/**
 * Of the images of that sample, those before the first one that waits for an answer. Those behind it have labels only
 * because they were chosen or accepted before: with them, and without those that wait, it would be no random sample.
 */
export function answeredOf(
  order: readonly number[],
  isOfSample: (id: number) => boolean,
  isWaiting: (id: number) => boolean,
): number[] {
  const sample = order.filter(isOfSample);
  const end = sample.findIndex(isWaiting);
  return end < 0 ? sample : sample.slice(0, end);
}

/** An image of that sample that has a label: what it is, and what a model said that was not told. */
export interface Drawn {
  readonly label: string;
  /** undefined: it looked like no class, which counts as wrong. */
  readonly said: string | undefined;
  /** What it shares with copies; absent: it has none. */
  readonly group?: string | undefined;
}

/** Half widths of an interval that a person may want next, as shares. */
const halfWidths = [0.15, 0.1, 0.05, 0.03];

/** How many more images narrow the interval to the next of these, as long as the accuracy stays and `left` are left. */
function narrowerThan(accuracy: number, independent: number, left: number): Estimate['narrower'] {
  const halfOf = (count: number): number => {
    const [low, high] = wilson(accuracy, count);
    return (high - low) / 2;
  };
  const within = halfWidths.find((half) => half < halfOf(independent));
  if (within === undefined || halfOf(independent + left) > within) return null;
  let more = 1;
  while (halfOf(independent + more) > within) more++;
  return { images: more, within };
}

type Estimate = NonNullable<Assistant['estimate']>;

/**
 * Only the beginning of a random order is a sample of all. Null as long as there is none. `left`: images that could
 * still be drawn.
 */
export function estimateOf(drawn: readonly Drawn[], left = 0): Assistant['estimate'] {
  const { length: images } = drawn;
  if (images === 0) return null;
  const accuracy = drawn.filter(({ label, said }) => said === label).length / images;
  const independent = effectiveCount(drawn.map(({ group }) => group));
  return {
    ...{ accuracy, images },
    interval: wilson(accuracy, independent),
    narrower: narrowerThan(accuracy, independent, left),
  };
}
