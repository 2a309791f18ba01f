/**
 * How far one set of images is from another, by their features: here how far training images are
 * from real ones. Features are row-major [count, size]; distances are Euclidean.
 */
import { setImmediate } from 'node:timers/promises';
import { invariant } from '../errors.js';

/** Real images, as what others are compared with. */
export interface Reference {
  readonly features: Float32Array;
  readonly size: number;
  readonly count: number;
  readonly neighbours: number;
  /**
   * Squared distance of each to its k-th nearest other: how far an image may be and still be like
   * it.
   */
  readonly squaredRadii: Float64Array;
  /** Squared length of each. */
  readonly squares: Float64Array;
  /** Of each, the sum of the kernel with all others. */
  readonly kernels: Float64Array;
}

/** What a set of training images is to the reference. */
export interface Comparison {
  /**
   * Share of the reference's images with a training image within their radius (Naeem et al. 2020).
   */
  readonly coverage: number;
  /**
   * How many reference images' spheres a training image lies in, over k (Naeem et al. 2020); 1 is
   * expected of the same distribution.
   */
  readonly density: number;
  /** Of each reference image, the distance to the nearest training image. */
  readonly nearest: Float64Array;
  /** Squared maximum mean discrepancy, unbiased (may be below 0): the kernel distance. */
  readonly mmd: number;
  /** `mmd` if a training image was not there, for each. */
  readonly withoutEach: Float64Array;
  /** `mmd` if a reference image was not there, for each. */
  readonly withoutReference: Float64Array;
}

/**
 * Dot products of one image's features with those of the images `from` to `count` of others. Every
 * sum runs in the same order, so that equal rows give equal numbers.
 */
function dots(one: Float32Array, others: Float32Array, from: number, count: number, out: Float64Array): void {
  const size = one.length;
  let j = from;
  for (; j + 4 <= count; j += 4) {
    let p = j * size,
      q = p + size,
      r = q + size,
      s = r + size;
    let first = 0,
      second = 0,
      third = 0,
      fourth = 0;
    for (let i = 0; i < size; i++) {
      const x = one[i]!;
      first += x * others[p++]!;
      second += x * others[q++]!;
      third += x * others[r++]!;
      fourth += x * others[s++]!;
    }
    out[j] = first;
    out[j + 1] = second;
    out[j + 2] = third;
    out[j + 3] = fourth;
  }
  for (; j < count; j++) {
    let sum = 0;
    for (let i = 0, p = j * size; i < size; i++) sum += one[i]! * others[p++]!;
    out[j] = sum;
  }
}

/** The features of one image. */
const rowOf = (features: Float32Array, row: number, size: number): Float32Array =>
  features.subarray(row * size, (row + 1) * size);

function squaresOf(features: Float32Array, count: number, size: number): Float64Array {
  const squares = new Float64Array(count),
    row = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    dots(rowOf(features, i, size), features, i, i + 1, row);
    squares[i] = row[i]!;
  }
  return squares;
}

/** (x.y / d + 1)^3 (Binkowski et al. 2018), of the dot product. */
function kernel(dot: number, size: number): number {
  const base = dot / size + 1;
  return base * base * base;
}

/** Puts a value into one of many ascending lists of length k that hold the smallest so far. */
function keepSmallest(lists: Float64Array, list: number, k: number, value: number): void {
  const start = list * k;
  let i = start + k - 1;
  if (!(value < lists[i]!)) return;
  for (; i > start && lists[i - 1]! > value; i--) lists[i] = lists[i - 1]!;
  lists[i] = value;
}

/**
 * Calls `work` for rows 0 to `count`, and lets others work now and then: on large sets this takes
 * seconds.
 */
async function eachRow(count: number, work: (row: number) => void): Promise<void> {
  let last = performance.now();
  for (let row = 0; row < count; row++) {
    work(row);
    if (performance.now() - last > 100) {
      await setImmediate();
      last = performance.now();
    }
  }
}

/**
 * Prepares the real images: the radius of each reaches to its k-th nearest other one. Needs more
 * than `neighbours` images, and three.
 */
export async function referenceOf(features: Float32Array, size: number, neighbours = 5): Promise<Reference> {
  const count = features.length / size,
    k = neighbours;
  invariant(
    Number.isInteger(count) && count > Math.max(2, k) && k >= 1,
    `${count} images are too few for ${k} neighbours`,
  );
  const squares = squaresOf(features, count, size);
  const smallest = new Float64Array(count * k).fill(Infinity),
    kernels = new Float64Array(count),
    row = new Float64Array(count);
  await eachRow(count, (i) => {
    dots(rowOf(features, i, size), features, i + 1, count, row);
    for (let j = i + 1; j < count; j++) {
      const dot = row[j]!;
      const distance = Math.max(0, squares[i]! + squares[j]! - 2 * dot);
      keepSmallest(smallest, i, k, distance);
      keepSmallest(smallest, j, k, distance);
      const value = kernel(dot, size);
      kernels[i]! += value;
      kernels[j]! += value;
    }
  });
  return {
    features,
    size,
    count,
    neighbours,
    squares,
    kernels,
    squaredRadii: Float64Array.from({ length: count }, (_, i) => smallest[i * k + k - 1]!),
  };
}

/**
 * Compares training images with the reference. Spheres are closed: an image exactly at the radius
 * lies inside, so that a copy of a real image that is there several times is like it (the authors'
 * code has them open, which differs only where distances are equal). Needs three images.
 */
export async function compareWith(reference: Reference, features: Float32Array): Promise<Comparison> {
  const { size, count: m, neighbours, squaredRadii, kernels } = reference;
  const n = features.length / size;
  invariant(Number.isInteger(n) && n >= 3, `${n} images are too few to compare`);
  const squares = squaresOf(features, n, size);
  const nearest = new Float64Array(m),
    acrossReference = new Float64Array(m),
    across = new Float64Array(n),
    own = new Float64Array(n);
  const row = new Float64Array(n);
  let covered = 0,
    inside = 0;
  await eachRow(m, (j) => {
    dots(rowOf(reference.features, j, size), features, 0, n, row);
    const square = reference.squares[j]!,
      radius = squaredRadii[j]!;
    let closest = Infinity,
      sum = 0;
    for (let i = 0; i < n; i++) {
      const dot = row[i]!;
      const distance = Math.max(0, square + squares[i]! - 2 * dot);
      if (distance < closest) closest = distance;
      if (distance <= radius) inside++;
      const value = kernel(dot, size);
      sum += value;
      across[i]! += value;
    }
    acrossReference[j] = sum;
    nearest[j] = Math.sqrt(closest);
    if (closest <= radius) covered++;
  });
  await eachRow(n, (i) => {
    dots(rowOf(features, i, size), features, i + 1, n, row);
    for (let j = i + 1; j < n; j++) {
      const value = kernel(row[j]!, size);
      own[i]! += value;
      own[j]! += value;
    }
  });
  // MMD^2 = mean k(x, x') + mean k(y, y') - 2 mean k(x, y) over pairs of different images; without
  // one, its pairs are missing.
  const total = (values: Float64Array): number => values.reduce((a, b) => a + b, 0);
  const ownTotal = total(own),
    referenceTotal = total(kernels),
    acrossTotal = total(across);
  const mmd = (xx: number, x: number, yy: number, y: number, xy: number): number =>
    xx / (x * (x - 1)) + yy / (y * (y - 1)) - (2 * xy) / (x * y);
  return {
    coverage: covered / m,
    density: inside / (neighbours * n),
    nearest,
    mmd: mmd(ownTotal, n, referenceTotal, m, acrossTotal),
    withoutEach: own.map((sum, i) => mmd(ownTotal - 2 * sum, n - 1, referenceTotal, m, acrossTotal - across[i]!)),
    withoutReference: kernels.map((sum, j) =>
      mmd(ownTotal, n, referenceTotal - 2 * sum, m - 1, acrossTotal - acrossReference[j]!),
    ),
  };
}

/**
 * Of each of other images, the distance to its k-th nearest of the reference, as `squaredRadii` has
 * of the reference's own.
 */
export async function distancesTo(reference: Reference, features: Float32Array): Promise<Float64Array> {
  const { size, count, neighbours: k, squares } = reference;
  const n = features.length / size,
    own = squaresOf(features, n, size);
  const smallest = new Float64Array(n * k).fill(Infinity),
    row = new Float64Array(count);
  await eachRow(n, (i) => {
    dots(rowOf(features, i, size), reference.features, 0, count, row);
    for (let j = 0; j < count; j++) keepSmallest(smallest, i, k, Math.max(0, own[i]! + squares[j]! - 2 * row[j]!));
  });
  return Float64Array.from({ length: n }, (_, i) => Math.sqrt(smallest[i * k + k - 1]!));
}

/**
 * Half-width of the 95% interval of an estimate over independent sets, each given as what the
 * estimate would be without each of its items (the jackknife; if anything too wide: Efron and Stein
 * 1981).
 */
export function jackknifeInterval(...sets: readonly ArrayLike<number>[]): number {
  let variance = 0;
  for (const values of sets) {
    const n = values.length;
    let mean = 0,
      squares = 0;
    for (let i = 0; i < n; i++) mean += values[i]! / n;
    for (let i = 0; i < n; i++) squares += (values[i]! - mean) ** 2;
    variance += ((n - 1) / n) * squares;
  }
  return 1.96 * Math.sqrt(variance);
}

/**
 * The coverage to be expected of `count` images from the reference's own distribution: 1 - P(the k
 * images nearest to one are all real) (Naeem et al. 2020).
 */
export function expectedCoverage(reference: number, count: number, neighbours: number): number {
  let allReal = 1;
  for (let i = 1; i <= neighbours; i++) allReal *= (reference - i) / (reference + count - i);
  return 1 - allReal;
}
