import type { Engine } from '../../engine/engine.js';
import { openMixture, type Mixture } from './mixture.js';
import type { Affinities } from './neighbours.js';
import { propagate } from './propagation.js';
import type { Images } from './views.js';

/** Share of the unlabelled images, those that labels reach least, from which the class "none" begins. */
const first = 0.05;
/** Components of its mixture. */
const dimensions = 32;
/** That labelled images are set aside as seldom as they are would happen by chance at most this often. */
const significance = 0.01;

/**
 * Which images without a label look like none of the classes: photos of something else, or of a class
 * without labels. Undefined where labels give no reason to think that there are any.
 *
 * A further class "none" joins the Gaussian mixture. It begins with the images that labels reach
 * least along the graph of neighbours. Such a class finds its images in every set. There are
 * strangers only if it takes far fewer of the labelled images, when they are held out, than of the
 * others: both kinds would be taken equally often if all were of the classes.
 */
export async function strangers(
  engine: Engine,
  networks: readonly Images[],
  { labels, classes }: { readonly labels: Int32Array; readonly classes: number },
  folds: readonly (readonly number[])[],
): Promise<Uint8Array | undefined> {
  const free = labels.reduce((sum, label) => sum + Number(label < 0), 0);
  const usable = networks.filter(({ components: { size } }) => size >= dimensions && dimensions < 0.8 * labels.length);
  if (folds.length === 0 || free === 0 || usable.length === 0) return undefined;
  // For every fold, and for all labels: the mean over networks of the probability of "none".
  const known = [...folds, []].map((fold) => without(labels, fold));
  const none = known.map(() => new Float64Array(labels.length));
  for (const { components, affinities } of usable) {
    const mixture = await openMixture(engine, components, classes + 1);
    try {
      for (const [k, some] of known.entries())
        (await outside(mixture, affinities, some, classes)).forEach((p, i) => (none[k]![i]! += p / usable.length));
    } finally {
      await mixture.close();
    }
  }
  const share =
    mean(
      none.slice(0, -1).map((some) => labels.reduce((sum, label, i) => sum + Number(label < 0 && some[i]! > 0.5), 0)),
    ) / free;
  const held = folds.flatMap((fold, k) => fold.map((i) => ({ label: labels[i]!, taken: none[k]![i]! > 0.5 })));
  if (chance(held, share, weightsOf(usable[0]!.affinities, labels, classes)) >= significance) return undefined;
  return Uint8Array.from(labels, (label, i) => Number(label < 0 && none.at(-1)![i]! > 0.5));
}

/** The probability of "none" of every image. */
async function outside(
  mixture: Mixture,
  affinities: Affinities,
  known: Int32Array,
  classes: number,
): Promise<Float64Array> {
  const count = known.length,
    wide = classes + 1;
  const reached = reach(affinities, known);
  const order = [...known.keys()].filter((i) => known[i]! < 0).sort((a, b) => reached[a]! - reached[b]!);
  const begun = known.slice();
  for (const i of order.slice(0, Math.max(1, Math.floor(first * order.length)))) begun[i] = classes;
  const guess = propagate(affinities, new Float32Array(count * wide), begun, wide);
  const fitted = await mixture.fit(guess, known, dimensions);
  return Float64Array.from(known, (_, i) => fitted[i * wide + classes]!);
}

/** How much of the labels, whichever they are, comes to each image along the graph. */
function reach({ starts, columns, weights }: Affinities, known: Int32Array): Float64Array {
  let now = Float64Array.from(known, (label) => Number(label >= 0));
  for (let iteration = 0; iteration < 50; iteration++)
    now = now.map((value, i) => {
      if (known[i]! >= 0) return value;
      let sum = 0;
      for (let entry = starts[i]!; entry < starts[i + 1]!; entry++) sum += weights[entry]! * now[columns[entry]!]!;
      return 0.8 * sum;
    });
  return now;
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/**
 * How much an image of each class counts among the labelled ones, so that these have the shares of
 * classes that the others have, as far as labels that spread along the graph tell.
 */
function weightsOf(affinities: Affinities, labels: Int32Array, classes: number): Float64Array {
  const spread = propagate(affinities, new Float32Array(labels.length * classes), labels, classes);
  const found = new Float64Array(classes).fill(1),
    given = new Float64Array(classes);
  for (const [i, label] of labels.entries())
    if (label >= 0) given[label]! += 1;
    else for (let c = 0; c < classes; c++) found[c]! += spread[i * classes + c]!;
  return found.map((count, c) => (given[c]! > 0 ? count / given[c]! : 0));
}

interface Held {
  readonly label: number;
  readonly taken: boolean;
}

/**
 * The chance that so few of the labelled images are taken if each is with probability `share`; they
 * count as many as their weights are worth.
 */
function chance(held: readonly Held[], share: number, weights: Float64Array): number {
  let all = 0,
    squares = 0,
    taken = 0;
  for (const { label, taken: isTaken } of held) {
    const weight = weights[label]!;
    all += weight;
    squares += weight * weight;
    if (isTaken) taken += weight;
  }
  if (all === 0) return 1;
  const worth = Math.round((all * all) / squares);
  return atMost(Math.round((taken / all) * worth), worth, share);
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
