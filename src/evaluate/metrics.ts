/**
 * Numbers about predictions. All take logits or probabilities row-major [count, classes] and
 * integer labels [count].
 */
import type { ClassMetrics, Metrics } from '../artifact/formats.js';
import { PupilError } from '../errors.js';

/**
 * Throws `bad-model` when a model's answers about an image are not finite numbers: they would name a
 * class all the same.
 */
export function assertFinite(answers: Float32Array, image: string): void {
  if (answers.every(Number.isFinite)) return;
  throw new PupilError(
    'bad-model',
    `${image}: the model's answers are not finite numbers: its file is damaged, its training went astray, or ` +
      '`normalize` is not right for it',
    { option: 'normalize' },
  );
}

/** softmax(logits / temperature), row by row. */
export function softmax(logits: Float32Array, classes: number, temperature = 1): Float32Array {
  const result = new Float32Array(logits.length);
  for (let row = 0; row < logits.length; row += classes) {
    let largest = -Infinity;
    for (let c = 0; c < classes; c++) largest = Math.max(largest, logits[row + c]!);
    let sum = 0;
    for (let c = 0; c < classes; c++) sum += result[row + c] = Math.exp((logits[row + c]! - largest) / temperature);
    for (let c = 0; c < classes; c++) result[row + c]! /= sum;
  }
  return result;
}

/** Index of the largest element of one row; the first of equals. */
export function argmax(values: Float32Array, start: number, classes: number): number {
  let best = 0;
  for (let c = 1; c < classes; c++) if (values[start + c]! > values[start + best]!) best = c;
  return best;
}

/** Mean cross-entropy of softmax(logits / temperature), in nats. */
export const crossEntropy = (
  logits: Float32Array,
  labels: ArrayLike<number>,
  classes: number,
  temperature = 1,
): number => (labels.length === 0 ? 0 : addCrossEntropy(0, logits, labels, classes, temperature) / labels.length);

/** A sum of cross-entropies, with those of more images added. */
function addCrossEntropy(
  before: number,
  logits: Float32Array,
  labels: ArrayLike<number>,
  classes: number,
  temperature: number,
): number {
  let sum = before;
  for (let i = 0; i < labels.length; i++) {
    const row = i * classes;
    let largest = -Infinity;
    for (let c = 0; c < classes; c++) largest = Math.max(largest, logits[row + c]!);
    let total = 0;
    for (let c = 0; c < classes; c++) total += Math.exp((logits[row + c]! - largest) / temperature);
    sum += Math.log(total) - (logits[row + labels[i]!]! - largest) / temperature;
  }
  return sum;
}

/**
 * Expected calibration error: |accuracy - confidence| averaged over 15 equal-width confidence bins
 * (Guo et al. 2017).
 */
export function expectedCalibrationError(
  probabilities: Float32Array,
  labels: ArrayLike<number>,
  classes: number,
  bins = 15,
): number {
  const tally = createCalibrationTally(classes, bins);
  tally.add(probabilities, labels);
  return tally.error();
}

function createCalibrationTally(classes: number, bins = 15) {
  const confidence = new Float64Array(bins),
    correct = new Float64Array(bins),
    // Of how many are right, where confidences are honest.
    variance = new Float64Array(bins);
  let count = 0;
  return {
    add(probabilities: Float32Array, labels: ArrayLike<number>): void {
      count += labels.length;
      for (let i = 0; i < labels.length; i++) {
        const predicted = argmax(probabilities, i * classes, classes);
        const p = probabilities[i * classes + predicted]!;
        const bin = Math.min(bins - 1, Math.floor(p * bins));
        confidence[bin]! += p;
        variance[bin]! += p * (1 - p);
        if (predicted === labels[i]) correct[bin]!++;
      }
    },
    error(): number {
      let error = 0;
      for (let bin = 0; bin < bins; bin++) error += Math.abs(correct[bin]! - confidence[bin]!);
      return share(error, count);
    },
    /**
     * The mean error of so many images where confidences are honest: of each bin the mean absolute deviation of a sum
     * of Bernoulli trials, that of the normal of its variance V, sqrt(2 V / pi), but never more than 2 V, that of the
     * trials one by one.
     */
    byChance(): number {
      let error = 0;
      for (const v of variance) error += Math.min(Math.sqrt((2 * v) / Math.PI), 2 * v);
      return share(error, count);
    },
  };
}

/** All metrics of one evaluation. `names` are the classes in index order. */
export function measure(
  logits: Float32Array,
  labels: ArrayLike<number>,
  names: readonly string[],
  temperature = 1,
): Metrics {
  const tally = createMetricsTally(names, temperature);
  tally.add(logits, labels);
  return tally.result();
}

/** `measure` of images that come some at a time. */
export interface MetricsTally {
  add(logits: Float32Array, labels: ArrayLike<number>): void;
  result(): Metrics;
}

export function createMetricsTally(names: readonly string[], temperature = 1): MetricsTally {
  const classes = names.length;
  const confusion = names.map(() => new Array<number>(classes).fill(0));
  const calibration = createCalibrationTally(classes);
  let count = 0,
    top1 = 0,
    top5 = 0,
    loss = 0;
  return {
    add(logits, labels) {
      calibration.add(softmax(logits, classes, temperature), labels);
      loss = addCrossEntropy(loss, logits, labels, classes, temperature);
      count += labels.length;
      for (let i = 0; i < labels.length; i++) {
        const label = labels[i]!;
        const predicted = argmax(logits, i * classes, classes);
        confusion[label]![predicted]!++;
        if (predicted === label) top1++;
        let above = 0;
        for (let c = 0; c < classes; c++) if (logits[i * classes + c]! > logits[i * classes + label]!) above++;
        if (above < 5) top5++;
      }
    },
    result() {
      const perClass = perClassOf(names, confusion);
      return {
        top1: share(top1, count),
        top5: share(top5, count),
        balanced: balancedAccuracy(Object.values(perClass)),
        count,
        loss: share(loss, count),
        ece: calibration.error(),
        eceByChance: calibration.byChance(),
        perClass,
        confusion,
      };
    },
  };
}

const share = (part: number, whole: number): number => (whole === 0 ? 0 : part / whole);

const perClassOf = (
  names: readonly string[],
  confusion: readonly (readonly number[])[],
): Readonly<Record<string, ClassMetrics>> =>
  Object.fromEntries(
    names.map((name, index): [string, ClassMetrics] => {
      const row = confusion[index]!;
      const count = row.reduce((a, b) => a + b, 0);
      const called = confusion.reduce((sum, other) => sum + other[index]!, 0);
      return [name, { recall: share(row[index]!, count), precision: share(row[index]!, called), count }];
    }),
  );

/** Mean recall of the classes that have images: what accuracy would be if all had equally many. */
function balancedAccuracy(classes: readonly ClassMetrics[]): number {
  const found = classes.filter(({ count }) => count > 0);
  return found.length === 0 ? 0 : found.reduce((sum, { recall }) => sum + recall, 0) / found.length;
}

/** Mean of -log softmax(logits / T) over all images and classes. */
function meanNegativeLogarithm(logits: Float32Array, classes: number, temperature: number): number {
  let sum = 0;
  for (let row = 0; row < logits.length; row += classes) {
    let largest = -Infinity,
      total = 0,
      powers = 0;
    for (let c = 0; c < classes; c++) largest = Math.max(largest, logits[row + c]!);
    for (let c = 0; c < classes; c++) {
      total += (logits[row + c]! - largest) / temperature;
      powers += Math.exp((logits[row + c]! - largest) / temperature);
    }
    sum += Math.log(powers) - total / classes;
  }
  return (sum * classes) / logits.length;
}

/**
 * The temperature that minimises the cross-entropy of softmax(logits / T) (temperature scaling, Guo
 * et al. 2017), found by golden-section search over log T in [1/20, 20]. That n images of n are right
 * says only that about one of n + 2 is not (Platt 1999, section 2.2), so that much of the target goes
 * to the other classes: few labels do not make a model certain, nor do copies of a few, where the images count as so
 * many `independent` ones (`effectiveCount`). Of classes that none of the images has nothing is known, and half of
 * theirs are taken for wrong. Returns 1 for fewer than two images.
 */
export function fitTemperature(
  logits: Float32Array,
  labels: ArrayLike<number>,
  classes: number,
  independent = labels.length,
): number {
  if (labels.length < 2) return 1;
  const unseen = 1 - new Set(Array.from(labels)).size / classes;
  const doubt = classes > 1 ? 1 / (independent + 2) + unseen / 2 : 0;
  const loss = (logTemperature: number): number => {
    const temperature = Math.exp(logTemperature);
    const right = crossEntropy(logits, labels, classes, temperature);
    // sum over c of -log p_c is that of the label and those of the others.
    const all = meanNegativeLogarithm(logits, classes, temperature) * classes;
    return (1 - doubt) * right + (doubt / (classes - 1 || 1)) * (all - right);
  };
  const ratio = (Math.sqrt(5) - 1) / 2;
  let low = -Math.log(20),
    high = Math.log(20);
  let a = high - ratio * (high - low),
    b = low + ratio * (high - low);
  let lossA = loss(a),
    lossB = loss(b);
  for (let i = 0; i < 40; i++) {
    if (lossA < lossB) {
      [high, b, lossB] = [b, a, lossA];
      a = high - ratio * (high - low);
      lossA = loss(a);
    } else {
      [low, a, lossA] = [a, b, lossB];
      b = low + ratio * (high - low);
      lossB = loss(b);
    }
  }
  return Math.exp((low + high) / 2);
}

/**
 * How many independent images tell as much as images of which some are copies of others, or nearly so: n^2 / sum m^2
 * for n images in groups of m, which is n where all differ (Kish 1965, "Survey Sampling": the effective size of a
 * sample of clusters whose members are all alike). `groups`: that of each image, undefined for one that is alone.
 */
export function effectiveCount(groups: Iterable<string | undefined>): number {
  const tally = createEffectiveCount();
  for (const group of groups) tally.add(group);
  return tally.result();
}

/** `effectiveCount` of images that come one at a time; remembers the groups alone. */
export function createEffectiveCount() {
  const sizes = new Map<string, number>();
  let count = 0,
    squares = 0;
  return {
    add(group: string | undefined): void {
      const before = group === undefined ? 0 : (sizes.get(group) ?? 0);
      if (group !== undefined) sizes.set(group, before + 1);
      count++;
      squares += 2 * before + 1;
    },
    result: (): number => (count === 0 ? 0 : (count * count) / squares),
  };
}

/** How many independent images a measurement on `count` of them is worth. */
export const independentOf = ({ count, independent = count }: Pick<Metrics, 'count' | 'independent'>): number =>
  independent;

/** `independent` of metrics on so many images, where it is fewer than they are. */
export const independence = (count: number, independent: number): Pick<Metrics, 'independent'> =>
  independent < count ? { independent } : {};

/** The 95% interval of a share of `count` (Wilson 1927), which ends at 0 or 1 where none or all are. NaN for none. */
export function wilson(share: number, count: number): [low: number, high: number] {
  const z = 1.96,
    z2 = z * z;
  const centre = (share + z2 / (2 * count)) / (1 + z2 / count);
  const half = (z / (1 + z2 / count)) * Math.sqrt((share * (1 - share)) / count + z2 / (4 * count * count));
  // Where the share is 0 or 1 rounding would leave it out, or go beyond it.
  return [Math.max(0, Math.min(share, centre - half)), Math.min(1, Math.max(share, centre + half))];
}

/** Both ends of the 95% interval of a share of `count` independent images (`wilson`), and its half-width. */
export function intervalOf(share: number, count: number): { interval: number; low: number; high: number } {
  const [low, high] = wilson(share, count);
  return { interval: shareInterval(share, count), low, high };
}

/**
 * Half-width of an interval around a share of `count` independent images that holds its 95% interval (Wilson 1927): not
 * zero where none or all of them are right. NaN for no images.
 */
export function shareInterval(share: number, count: number): number {
  const [low, high] = wilson(share, count);
  return Math.max(high - share, share - low);
}

/**
 * Mean and half-width of the 95% interval of the mean (Student's t) over measurements, such as seeds or images. Those
 * with a common group in `groups` are of copies: the mean is over all, its variance that of the groups' sums about it
 * (Kish 1965, the ratio mean of clusters).
 */
export function meanInterval(
  values: readonly number[],
  groups: readonly (string | undefined)[] = [],
): { readonly mean: number; readonly interval: number } {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const sums = new Map<string | number, number>();
  for (const [i, value] of values.entries()) {
    const group = groups[i] ?? i;
    sums.set(group, (sums.get(group) ?? 0) + (value - mean));
  }
  const n = sums.size;
  if (n < 2) return { mean, interval: NaN };
  let squares = 0;
  for (const sum of sums.values()) squares += sum ** 2;
  const variance = squares / (n - 1);
  // 97.5% quantiles of Student's t for 1 to 10 degrees of freedom; beyond, Cornish-Fisher's first
  // terms.
  const table = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228];
  const quantile = table[n - 2] ?? 1.96 + 2.37 / (n - 1) + 2.82 / (n - 1) ** 2;
  return { mean, interval: quantile * Math.sqrt(variance / (values.length ** 2 / n)) };
}

/**
 * Whether so many right answers are more than guessing gives: above its mean by two standard
 * deviations. Where there are too few images to tell, they are taken for it. `independent`: as how many they count.
 */
export function isBetterThanChance(right: number, count: number, classes: number, independent = count): boolean {
  const chance = 1 / classes;
  return independent < 2 * classes || right / count > chance + 2 * Math.sqrt((chance * (1 - chance)) / independent);
}

/** The same, but of too few images to tell they have to be more than guessing gives on average. */
export const showsMoreThanChance = (right: number, count: number, classes: number, independent = count): boolean =>
  right * classes > count && isBetterThanChance(right, count, classes, independent);

/**
 * How often a model is right whose answers are not measurably better than chance, in words: a model that guesses is one
 * thing, too few `images` to tell another.
 */
export function besideChance(right: number, count: number, classes: number, images: string): string {
  const chance = `${(100 / classes).toFixed(0)}%`;
  const told = right * classes > count ? 'too few to tell it from chance' : 'no better than chance';
  return `right on ${right} of ${count} ${images}, ${told} (${chance})`;
}

/**
 * The 95% interval of a balanced accuracy: the mean recall of the K classes that have images is known as well as a
 * share of K² / sum(1 / images of a class) images (the effective number of a stratified sample, Kish 1965; `wilson`).
 * Where all classes have equally many that is the interval of the accuracy; one class of three images makes it wide,
 * however many the others have. NaN for no images.
 */
export function balancedInterval({
  perClass,
  ...size
}: Pick<Metrics, 'perClass' | 'count' | 'independent'>): [low: number, high: number] {
  const found = Object.values(perClass).filter(({ count }) => count > 0);
  const worth = independentOf(size) / size.count;
  const inverse = found.reduce((sum, { count }) => sum + 1 / (worth * count), 0);
  return wilson(balancedAccuracy(found), found.length ** 2 / inverse);
}
