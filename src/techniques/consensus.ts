/**
 * Labels for all images from those of a few, on features of frozen networks, in closed form. Three
 * kinds of models look at the features of each network: a linear classifier, label spreading over
 * the graph of nearest neighbours, and Gaussian mixtures on the first 32 to 256 principal components.
 * What each says of labels that it was not shown makes its confidences honest and gives it its
 * weight; the normalised product of what they say, each to the power of its weight, is the consensus.
 *
 * None of them is best everywhere (few components where classes are compact, many where they are
 * not); their calibrated product is close to the best on each set, and its likelihood is the highest.
 *
 * Several networks complement each other side by side in one space, unless one spoils the distances
 * of another, which no weight undoes. So features are looked at in several views: of all networks
 * together, and of each alone; one of them speaks, chosen by the labels that are held out. The same
 * holds for the layers of a network: an earlier one beside the last tells flowers and scenes apart a little
 * better, and hides what tells ants from bees. So networks are looked at by their last layers, and those that speak
 * once more by all layers. Both views speak, as few labels take the worse one for the better now and then and the
 * product of both loses less by that; but where last layers are clearly better on labels held out, they alone, since
 * an earlier layer spoils more than it adds (docs/few-labels.md).
 */
import type { Engine } from '../engine/engine.js';
import { argmax, fitTemperature, softmax } from '../evaluate/metrics.js';
import { openLinear, type Linear } from './closed-form/linear.js';
import { openMixture, type Mixture } from './closed-form/mixture.js';
import { propagate, withKnown } from './closed-form/propagation.js';
import { strangers, without } from './closed-form/strangers.js';
import { exactViews, type Images, type Views } from './closed-form/views.js';
import type { Features } from './features.js';

/** How much of what could be looked at is. */
interface Effort {
  /** Components of the mixtures. */
  readonly dimensions: readonly number[];
  /** Whether earlier layers are looked at, too. */
  readonly looksAtEarlier: boolean;
  /** Of the linear classifier. */
  readonly iterations: number | undefined;
}
const full: Effort = { dimensions: [32, 64, 128, 256], looksAtEarlier: true, iterations: undefined };
const quick: Effort = { dimensions: [64, 128], looksAtEarlier: false, iterations: 30 };
/** Labels' worth of belief that all models are equally good. */
const equality = 5;
/**
 * Where no label can be held out. Chosen on hymenoptera and scenes with one label a class (three draws and
 * two): 54 and 78% right at mean confidences of 73 and 58%; 1 gave 90% on a draw of which 38% were right.
 */
const unmeasuredTemperature = 5;
/** How often strangers are looked for: those that are left may be of another kind. */
const passes = 3;

export interface ConsensusSet {
  /** Layers of each network, of all images; the last layer of a network, which its head sees, comes first. */
  readonly networks: readonly (readonly Features[])[];
  /** Of each image; -1: not known. */
  readonly labels: ArrayLike<number>;
  readonly classes: number;
  /** As how many independent labels a known one counts: less than one where some are of copies. Default 1. */
  readonly worth?: number | undefined;
  /**
   * Labelled images by index that were drawn at random, where others were chosen: whether there are images of none of
   * the classes is told by these. Default: by all.
   */
  readonly drawn?: readonly number[] | undefined;
  /** Of these networks, kept for further labels of the same images (`keptViews`). */
  readonly views?: Views | undefined;
  /** Images (1) that look like none of the classes, where that is known; default: they are looked for. */
  readonly aside?: Uint8Array | undefined;
  /** Fewer models agree: for somebody who waits. */
  readonly isQuick?: boolean | undefined;
}

/** One of the models that agree. */
export interface Opinion {
  /** `linear`, `neighbours`, `mixture 64`... */
  readonly name: string;
  /** The networks whose features it looks at, by their place. */
  readonly networks: readonly number[];
  /** Which of their layers. */
  readonly layers: 'all' | 'last';
  /** Its share of the consensus; all are 1 together, and those of views that do not speak 0. */
  readonly weight: number;
  /** Its logarithms of probabilities are divided by this. */
  readonly temperature: number;
  /** Of labels that it was not shown; undefined where none could be held out. */
  readonly heldOut: { readonly top1: number; readonly loss: number } | undefined;
}

export interface Consensus {
  /** [count, classes]; rows of known labels are one-hot. */
  readonly probabilities: Float32Array;
  /** The same for each fold, whose labels were not known. */
  readonly folds: readonly Float32Array[];
  readonly opinions: readonly Opinion[];
  /** 1 for images that look like none of the classes: they took no part, and their rows are equal. */
  readonly aside: Uint8Array;
}

/** What a model says of all images, [count, classes]. The same models, in this order, speak in every fold. */
interface Said {
  readonly name: string;
  readonly probabilities: Float32Array;
}

/** The features of some networks side by side, as one. */
interface View {
  /** By their place. */
  readonly networks: readonly number[];
  readonly layers: 'all' | 'last';
  readonly images: Images;
}

/**
 * Labels all images of a set. `folds` lists labelled images by index that are held out in turn.
 * Needs two classes with labels. Labels that are known stay. Images that look like none of the
 * classes are set aside first: the others are looked at without them.
 */
export async function consensus(
  engine: Engine,
  {
    networks,
    labels,
    classes,
    worth = 1,
    drawn,
    views: whole = exactViews(engine, networks),
    aside: given,
    isQuick = false,
  }: ConsensusSet,
  folds: readonly (readonly number[])[],
  onProgress?: (done: number, total: number) => void,
): Promise<Consensus> {
  const all = Int32Array.from(labels);
  const { rows, place, views } = given
    ? withoutKnown(all, whole, given)
    : await withoutStrangers(engine, whole, { labels: all, classes, drawn }, folds);
  const agreed = await agreeOn(
    engine,
    {
      views,
      known: Int32Array.from(rows, (i) => all[i]!),
      classes,
      worth,
      effort: isQuick ? quick : full,
    },
    folds.map((fold) => fold.map((i) => place[i]!)),
    onProgress,
  );
  const forAll = (some: Float32Array): Float32Array => {
    const result = new Float32Array(all.length * classes).fill(1 / classes);
    rows.forEach((row, i) => result.set(rowOf(some, i, classes), row * classes));
    return result;
  };
  return {
    ...agreed,
    probabilities: forAll(agreed.probabilities),
    folds: agreed.folds.map(forAll),
    aside: asideOf(place),
  };
}

/** The images that take part. */
interface Part {
  readonly rows: readonly number[];
  /** Of each image among these; -1: it takes no part. */
  readonly place: readonly number[];
  readonly views: Views;
}

const asideOf = (place: Part['place']): Uint8Array => Uint8Array.from(place, (i) => Number(i < 0));

/** All but the unlabelled ones (1) that are known to look like none of the classes. */
function withoutKnown(labels: Int32Array, whole: Views, aside: Uint8Array): Part {
  const rows = [...labels.keys()].filter((i) => labels[i]! >= 0 || aside[i] === 0);
  const views = rows.length === labels.length ? whole : whole.only(rows);
  return { rows, place: placesOf(rows, labels.length), views };
}

/** The images (1) that look like none of the classes, among those of some views. */
export const setAside = async (...of: Parameters<typeof withoutStrangers>): Promise<Uint8Array> =>
  asideOf((await withoutStrangers(...of)).place);

/** All but those that look like none of the classes. */
async function withoutStrangers(
  engine: Engine,
  whole: Views,
  { labels, classes, drawn }: Pick<ConsensusSet, 'classes' | 'drawn'> & { readonly labels: Int32Array },
  folds: readonly (readonly number[])[],
): Promise<Part> {
  let rows = [...labels.keys()],
    place = rows,
    views = whole;
  for (let pass = 0; pass < passes; pass++) {
    const known = labels.filter((_, i) => place[i]! >= 0);
    const parts = folds.map((fold) => fold.map((i) => place[i]!));
    const seen: Images[] = [];
    for (let network = 0; network < views.networks; network++) seen.push(await views.of([network], 'all'));
    const fair = drawn && new Set(drawn.map((i) => place[i]!));
    const found = await strangers(engine, seen, { labels: known, classes, drawn: fair }, parts);
    if (found?.some((out) => out === 1) !== true) break;
    rows = rows.filter((_, i) => found[i] === 0);
    place = placesOf(rows, labels.length);
    views = whole.only(rows);
  }
  return { rows, place, views };
}

/** For each of `count` images its place among `rows`; -1: not there. */
function placesOf(rows: readonly number[], count: number): number[] {
  const place = new Array<number>(count).fill(-1);
  rows.forEach((row, i) => (place[row] = i));
  return place;
}

interface Problem {
  readonly views: Views;
  readonly known: Int32Array;
  readonly classes: number;
  readonly worth: number;
  readonly effort: Effort;
}

/** The consensus on images that are all of some class. */
async function agreeOn(
  engine: Engine,
  { views, known, classes, worth, effort }: Problem,
  folds: readonly (readonly number[])[],
  onProgress?: (done: number, total: number) => void,
): Promise<Omit<Consensus, 'aside'>> {
  const looksAtEarlier = effort.looksAtEarlier && folds.length > 0 && views.hasEarlier;
  // All networks side by side, where there are several, then each alone.
  const alone = Array.from({ length: views.networks }, (_, network) => [network]);
  const wide = alone.length > 1 ? [alone.flat(), ...alone] : alone;
  const fits = (wide.length + Number(looksAtEarlier)) * (folds.length + 1);
  let done = 0;
  const all: Heard[] = [];
  const hear = async (view: View): Promise<Heard> => {
    const said: Said[][] = [];
    const mixture = await openMixture(engine, view.images.components, classes);
    const linear = await openLinear(engine, view.images, mixture, {
      labels: known,
      classes,
      iterations: effort.iterations,
    });
    try {
      for (const fold of [...folds, []]) {
        said.push(await opinions({ ...view.images, mixture, linear }, without(known, fold), { classes, ...effort }));
        onProgress?.(++done, fits);
      }
    } finally {
      await linear.close();
      await mixture.close();
    }
    const heard = { networks: view.networks, judged: judge(said, view, { folds, known, classes, worth }), said };
    all.push(heard);
    return heard;
  };
  let chosen: Heard | undefined;
  const viewOf = async (networks: readonly number[], layers: View['layers']): Promise<View> => ({
    networks,
    layers,
    images: await views.of(networks, layers),
  });
  for (const networks of wide) {
    const heard = await hear(await viewOf(networks, 'last'));
    if (chosen === undefined || isBetter(heard, chosen)) chosen = heard;
  }
  const speaking = [chosen!];
  if (looksAtEarlier) {
    const wider = await hear(await viewOf(chosen!.networks, 'all'));
    if (!isBetter(chosen!, wider)) speaking.push(wider);
  }
  // Views count the same.
  const weights = new Map(speaking.map((view) => [view, weigh(view.judged).map((weight) => weight / speaking.length)]));
  const agreed = (k: number, labels: Int32Array): Float32Array =>
    agree(
      speaking.flatMap((view) =>
        view.judged.map(({ temperature }, f) => ({
          ...view.said[k]![f]!,
          temperature,
          weight: weights.get(view)![f]!,
        })),
      ),
      labels,
      classes,
    );
  return {
    probabilities: agreed(folds.length, known),
    folds: folds.map((fold, k) => agreed(k, without(known, fold))),
    opinions: all.flatMap((view) =>
      view.judged.map(({ likelihoods: _, ...opinion }, f) => ({ ...opinion, weight: weights.get(view)?.[f] ?? 0 })),
    ),
  };
}

/** What every model says of all images, when it knows the labels `known`. */
async function opinions(
  { components, affinities, mixture, linear }: Images & { readonly mixture: Mixture; readonly linear: Linear },
  known: Int32Array,
  { classes, dimensions }: Pick<Effort, 'dimensions'> & { readonly classes: number },
): Promise<Said[]> {
  const probabilities = await linear.classify(known);
  const spread = propagate(affinities, probabilities, known, classes);
  const said = [
    { name: 'linear', probabilities },
    { name: 'neighbours', probabilities: spread },
  ];
  for (const d of dimensions)
    // Where there are hardly more images than components, the mixture has no say.
    if (d <= components.size && d < 0.8 * known.length)
      said.push({ name: `mixture ${d}`, probabilities: await mixture.fit(spread, known, d) });
  return said;
}

/** An opinion before it gets its weight. */
interface Judged extends Omit<Opinion, 'weight'> {
  /** Of the labels held out, under what it says at its temperature. */
  readonly likelihoods: readonly number[];
}

/** How good what a view's models said is on the labels held out, at the temperature that is best for these. */
function judge(
  said: readonly (readonly Said[])[],
  { networks, layers }: View,
  {
    folds,
    known,
    classes,
    worth,
  }: Pick<Problem, 'known' | 'classes' | 'worth'> & { readonly folds: readonly (readonly number[])[] },
): Judged[] {
  const labels = folds.flatMap((fold) => fold.map((i) => known[i]!));
  return said.at(-1)!.map(({ name }, f) => {
    if (labels.length === 0)
      return { name, networks, layers, temperature: unmeasuredTemperature, likelihoods: [], heldOut: undefined };
    const logits = Float32Array.from(
      folds.flatMap((fold, k) => fold.flatMap((i) => [...logarithms(rowOf(said[k]![f]!.probabilities, i, classes))])),
    );
    const temperature = fitTemperature(logits, labels, classes, worth * labels.length);
    const right = softmax(logits, classes, temperature);
    const likelihoods = labels.map((label, row) => Math.max(1e-9, right[row * classes + label]!));
    const top1 = labels.filter((label, row) => argmax(logits, row * classes, classes) === label).length / labels.length;
    return { name, networks, layers, temperature, likelihoods, heldOut: { top1, loss: mean(losses(likelihoods)) } };
  });
}

/** What the models that look at a view said. */
interface Heard {
  readonly networks: readonly number[];
  readonly judged: readonly Judged[];
  /** Without each fold, then with all labels. */
  readonly said: readonly (readonly Said[])[];
}

/**
 * Whether one view is better than another: whether the models that look at it lose less on the labels
 * held out, by more than the standard error (Breiman et al. 1984). What sees more comes first, so a view
 * of less, one network alone or last layers alone, has to be clearly better.
 */
function isBetter(one: Heard, other: Heard): boolean {
  const lossesOf = ({ judged }: Heard): number[] =>
    judged[0]!.likelihoods.map((_, row) => mean(losses(judged.map(({ likelihoods }) => likelihoods[row]!))));
  const before = lossesOf(other);
  const gains = lossesOf(one).map((loss, row) => before[row]! - loss);
  if (gains.length < 2) return false;
  const gain = mean(gains);
  const variance = gains.reduce((sum, x) => sum + (x - gain) ** 2, 0) / (gains.length - 1);
  return gain > Math.sqrt(variance / gains.length);
}

const losses = (likelihoods: readonly number[]): number[] => likelihoods.map((p) => -Math.log(p));
const mean = (values: readonly number[]): number => values.reduce((sum, x) => sum + x, 0) / values.length;

/**
 * The mixture of opinions under which the labels held out are most likely (stacking, by expectation
 * and maximisation), held towards equal weights, which few labels cannot tell from.
 */
function weigh(opinions: readonly Judged[]): number[] {
  const equal = 1 / opinions.length,
    { length } = opinions[0]!.likelihoods;
  let weights = opinions.map(() => equal);
  for (let iteration = 0; iteration < 100; iteration++) {
    const taken = opinions.map(() => equality * equal);
    for (let row = 0; row < length; row++) {
      const shares = opinions.map(({ likelihoods }, f) => weights[f]! * likelihoods[row]!);
      const sum = shares.reduce((a, b) => a + b);
      shares.forEach((share, f) => (taken[f]! += share / sum));
    }
    weights = taken.map((share) => share / (length + equality));
  }
  return weights;
}

/**
 * The product of calibrated opinions, each to the power of its weight, normalised (a logarithmic
 * opinion pool, Genest and Zidek 1986); known labels stay.
 */
function agree(
  opinions: readonly (Omit<Said, 'name'> & Pick<Opinion, 'temperature' | 'weight'>)[],
  known: Int32Array,
  classes: number,
): Float32Array {
  const sum = new Float32Array(known.length * classes);
  for (const { probabilities, weight, temperature } of opinions)
    logarithms(softmax(logarithms(probabilities), classes, temperature)).forEach(
      (logarithm, i) => (sum[i]! += weight * logarithm),
    );
  return withKnown(softmax(sum, classes), known, classes);
}

const rowOf = (rows: Float32Array, row: number, size: number): Float32Array =>
  rows.subarray(row * size, (row + 1) * size);

/** Of probabilities; zeros are held away from minus infinity. */
const logarithms = (probabilities: Float32Array): Float32Array => probabilities.map((p) => Math.log(p + 1e-9));
