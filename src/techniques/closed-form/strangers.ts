import type { Engine } from '../../engine/engine.js';
import { openMixture, type Mixture } from './mixture.js';
import type { Affinities } from './neighbours.js';
import { propagate } from './propagation.js';
import type { Images } from './views.js';

/** Share of the unlabelled images, those that labels reach least, from which the class "none" begins. */
const first = 0.1;
/**
 * Components of its mixture: as many as there are classes, within these. Chosen on scenes with each class in turn
 * without labels: of 200 images more components find less (`scripts/strangers.js`).
 */
const dimensions = { least: 16, most: 32 };
/**
 * That labelled images are taken for "none" as seldom as they are would happen by chance at most this often, and more
 * seldom where many images are taken: of a set without strangers the share `lost` is lost on average. Where all are of
 * one class, "none" takes half of them, as nothing else is there to find.
 */
const significance = 0.1;
const lost = 1 / 80;
/**
 * Of the images taken for "none" at most this share may be of the classes, as labelled ones tell: with 40 to 60 labels
 * the test alone lets a quarter to a half of the images go by chance in 1.4 to 4% of sets without strangers, with this
 * in at most 0.7% (by the binomial distribution). In 24 sets of scenes with strangers that are noticed without it, on
 * which it was chosen, it is 0 to 44%, in 23 of them at most 36%; in three sets of flowers without strangers 51 to 56%
 * (`scripts/strangers.js`).
 */
const mistaken = 2 / 5;

/** Which images have labels. */
export interface Labelled {
  /** Of each image; -1: not known. */
  readonly labels: Int32Array;
  readonly classes: number;
  /**
   * Those that were drawn at random, where others were not: these alone are compared with the unlabelled images. Of
   * images that were chosen to teach most, few lie where many are alike, so that the easiest ones would look strange.
   */
  readonly drawn?: ReadonlySet<number> | undefined;
}

/** What a mixture with a further class "none" says. */
export interface Outside {
  /** The probability of "none" of every image, with all labels; rows of labelled images are 0. */
  readonly none: Float64Array;
  /** The chance that labels held out are taken for "none" as seldom as they are, were all images of the classes. */
  readonly chance: number;
  /** Of the images taken for "none" the share that is of the classes, by how often labels held out are taken. */
  readonly mistaken: number;
}

/**
 * Which images without a label look like none of the classes: photos of something else, or of a class
 * without labels. Undefined where labels give no reason to think that there are any.
 */
export async function strangers(...set: Parameters<typeof lookOutside>): Promise<Uint8Array | undefined> {
  const outside = await lookOutside(...set);
  if (outside === undefined) return undefined;
  const out = Uint8Array.from(outside.none, (p) => Number(p > 0.5));
  const share = out.reduce((sum, one) => sum + one, 0) / set[2].labels.filter((label) => label < 0).length;
  return believed(outside, share) ? out : undefined;
}

/** Whether there are strangers where `share` of the unlabelled images looks like some. */
export const believed = (outside: Omit<Outside, 'none'>, share: number): boolean =>
  outside.chance < Math.min(significance, lost / share) && outside.mistaken <= mistaken;

/**
 * A further class "none" joins the Gaussian mixture. It begins with the images that labels reach
 * least along the graph of neighbours, and its share is found with those of the others. Such a class
 * finds its images in every set. There are strangers only if it takes fewer of the labelled images,
 * when they are held out, than of the others: both kinds would be taken equally often if all were of
 * the classes; and so few that most of what it takes is of none. Undefined where that cannot be told.
 *
 * Distances (Mahalanobis, relative or not, to means and to neighbours) order the images of a class
 * without labels hardly better than chance where it lies between the others; the mixture, which fits
 * a Gaussian to it, does (`scripts/strangers.js`).
 */
export async function lookOutside(
  engine: Engine,
  networks: readonly Images[],
  { labels, classes, drawn }: Labelled,
  folds: readonly (readonly number[])[],
): Promise<Outside | undefined> {
  const wide = classes + 1,
    wanted = Math.min(dimensions.most, Math.max(dimensions.least, classes));
  const usable = networks.filter(({ components: { size } }) => size >= wanted && wanted < 0.8 * labels.length);
  if (folds.length === 0 || usable.length === 0 || !labels.includes(-1)) return undefined;
  // For every fold, and for all labels: the mean over networks of [count, classes + 1].
  const known = [...folds, []].map((fold) => without(labels, fold));
  const said = known.map(() => new Float64Array(labels.length * wide));
  for (const { components, affinities } of usable) {
    const mixture = await openMixture(engine, components, wide);
    try {
      for (const [k, some] of known.entries())
        (await withNone(mixture, affinities, some, { classes, dimensions: wanted })).forEach(
          (p, at) => (said[k]![at]! += p / usable.length),
        );
    } finally {
      await mixture.close();
    }
  }
  const free = [...labels.keys()].filter((i) => labels[i]! < 0);
  /** Unlabelled images by class, "none" the last, in the mean over folds. */
  const found = new Float64Array(wide);
  for (const rows of said.slice(0, -1))
    for (const i of free) for (let c = 0; c < wide; c++) found[c]! += rows[i * wide + c]! / folds.length;
  const held = folds.flatMap((fold, k) =>
    fold
      .filter((i) => drawn?.has(i) !== false)
      .map((i): Held => ({ label: labels[i]!, shares: said[k]!.subarray(i * wide, (i + 1) * wide) })),
  );
  // A class that is never held out: nothing tells that "none" does not take its images, so it is counted as if it did.
  for (let label = 0; label < classes; label++)
    if (!held.some((one) => one.label === label)) held.push({ label, shares: onlyAt(classes, wide) });
  const none = Float64Array.from(labels, (label, i) => (label < 0 ? said.at(-1)![i * wide + classes]! : 0));
  return { none, ...compared(held, found) };
}

/** Probabilities [count, classes + 1] of all images, "none" the last. */
async function withNone(
  mixture: Mixture,
  affinities: Affinities,
  known: Int32Array,
  { classes, dimensions: size }: { readonly classes: number; readonly dimensions: number },
): Promise<Float32Array> {
  const reached = reach(affinities, known);
  const order = [...known.keys()].filter((i) => known[i]! < 0).sort((a, b) => reached[a]! - reached[b]!);
  const begun = known.slice();
  for (const i of order.slice(0, Math.max(1, Math.floor(first * order.length)))) begun[i] = classes;
  const guess = propagate(affinities, new Float32Array(known.length * (classes + 1)), begun, classes + 1);
  return mixture.fit(guess, known, size);
}

/** How much of the labels, whichever they are, comes to each image along the graph. */
function reach({ starts, columns, weights }: Affinities, known: Int32Array): Float64Array {
  let now = Float64Array.from(known, (label) => Number(label >= 0)),
    next = now.slice();
  for (let iteration = 0; iteration < 50; iteration++) {
    for (let i = 0; i < known.length; i++) {
      if (known[i]! >= 0) continue;
      let sum = 0;
      for (let entry = starts[i]!; entry < starts[i + 1]!; entry++) sum += weights[entry]! * now[columns[entry]!]!;
      next[i] = 0.8 * sum;
    }
    [now, next] = [next, now];
  }
  return now;
}

/** A labelled image, and what is said of it without its label: the probability of each class, "none" the last. */
interface Held {
  readonly label: number;
  readonly shares: Float64Array;
}

const onlyAt = (place: number, length: number): Float64Array =>
  Float64Array.from({ length }, (_, i) => Number(i === place));

/**
 * The chance that so few of the labelled images are taken for "none" if they are as often as the unlabelled ones, of
 * which `found` has the number by class, "none" the last; and how often they are, in parts of that. A labelled image
 * stands for as many unlabelled ones of its class that are not taken as there are for each such labelled one; so shares
 * of classes may be other ones, and strangers, which are of no class, do not count as images of any. Together they
 * count as many as their weights are worth.
 */
function compared(held: readonly Held[], found: Float64Array): Omit<Outside, 'none'> {
  const classes = found.length - 1;
  const stay = new Float64Array(classes);
  for (const { label, shares } of held) stay[label]! += 1 - shares[classes]!;
  const numbers = unmixed(held, found.subarray(0, classes));
  let all = 0,
    squares = 0,
    taken = 0;
  for (const { label, shares } of held) {
    const weight = numbers[label]! / Math.max(0.5, stay[label]!);
    all += weight;
    squares += weight * weight;
    taken += weight * shares[classes]!;
  }
  if (all === 0) return { chance: 1, mistaken: 1 };
  const worth = Math.round((all * all) / squares);
  const share = found[classes]! / found.reduce((sum, count) => sum + count, 0);
  return { chance: atMost(Math.round((taken / all) * worth), worth, share), mistaken: taken / all / share };
}

/**
 * How many images are of each class where so many are `found` in each and labelled ones are confused as they are:
 * the most likely numbers, by expectation and maximisation (Saerens et al. 2002 on the mean predictions of a class).
 * Where all images are of one class, those of them that are taken for others would else count labels of the others.
 */
function unmixed(held: readonly Held[], found: Float64Array): Float64Array {
  const classes = found.length;
  /** Images of the class in this row that are taken for each class; one more is taken for its own. */
  const taken = Array.from(found, (_, label) => onlyAt(label, classes));
  for (const { label, shares } of held) for (let c = 0; c < classes; c++) taken[label]![c]! += shares[c]!;
  const rates = taken.map((row) => {
    const sum = row.reduce((a, b) => a + b);
    return row.map((count) => count / sum);
  });
  let numbers = found;
  for (let iteration = 0; iteration < 100; iteration++) {
    const next = new Float64Array(classes);
    found.forEach((count, c) => {
      const parts = rates.map((row, label) => numbers[label]! * row[c]!);
      const sum = parts.reduce((a, b) => a + b);
      if (sum > 0) parts.forEach((part, label) => (next[label]! += (count * part) / sum));
    });
    numbers = next;
  }
  return numbers;
}

/** The chance of at most `count` in `of` trials, each with this probability. */
function atMost(count: number, of: number, probability: number): number {
  if (probability <= 0) return 1;
  if (probability >= 1) return Number(count >= of);
  let term = of * Math.log1p(-probability),
    sum = 0;
  for (let k = 0; k <= count; k++) {
    sum += Math.exp(term);
    term += Math.log(((of - k) / (k + 1)) * (probability / (1 - probability)));
  }
  return sum;
}

/** The labels without those of a fold. */
export function without(known: Int32Array, fold: readonly number[]): Int32Array {
  const rest = known.slice();
  for (const i of fold) rest[i] = -1;
  return rest;
}
