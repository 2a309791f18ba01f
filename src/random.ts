/**
 * A counter-based generator: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1,
 * 2, 3", SC 2011). The same (seed, stream) gives the same numbers on every machine, any number can
 * be reached without drawing those before it, and streams named by different keys are independent:
 * `random(seed, 'dropout', step, layer)`.
 */

const M0 = 0xd2511f53;
const M1 = 0xcd9e8d57;
const W0 = 0x9e3779b9;
const W1 = 0xbb67ae85;

/** High 32 bits of the product of two unsigned 32-bit integers. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff,
    aHigh = a >>> 16;
  const bLow = b & 0xffff,
    bHigh = b >>> 16;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const carry = aLow * bHigh + (middle & 0xffff);
  return (aHigh * bHigh + Math.floor(middle / 0x10000) + Math.floor(carry / 0x10000)) >>> 0;
}

/**
 * One Philox4x32-10 block: four 32-bit words of counter and two of key give four random words,
 * written to `out`.
 */
export function philox(
  counter: readonly [number, number, number, number],
  key: readonly [number, number],
  out: Uint32Array,
): void {
  let [c0, c1, c2, c3] = counter;
  let [k0, k1] = key;
  for (let round = 0; round < 10; round++) {
    const high0 = multiplyHigh(M0, c0 >>> 0),
      low0 = Math.imul(M0, c0) >>> 0;
    const high1 = multiplyHigh(M1, c2 >>> 0),
      low1 = Math.imul(M1, c2) >>> 0;
    c0 = (high1 ^ c1 ^ k0) >>> 0;
    c1 = low1;
    c2 = (high0 ^ c3 ^ k1) >>> 0;
    c3 = low0;
    k0 = (k0 + W0) >>> 0;
    k1 = (k1 + W1) >>> 0;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

/** A 32-bit FNV-1a hash of a stream key. */
function hash(text: string, start: number): number {
  let h = start;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return h >>> 0;
}

/** A stream of random numbers. Cheap to create: make one per purpose rather than share one. */
export class Random {
  readonly #key: [number, number];
  readonly #stream: [number, number];
  readonly #block = new Uint32Array(4);
  #position = 0;

  /** `keys` name the stream: any strings and numbers, such as ('augment', epoch, index). */
  constructor(seed: number, ...keys: readonly (string | number)[]) {
    this.#key = [seed >>> 0, Math.floor(seed / 0x100000000) >>> 0];
    const name = keys.join('\u0000');
    this.#stream = [hash(name, 0x811c9dc5), hash(name, 0x9747b28c)];
  }

  /** A random unsigned 32-bit integer. */
  uint32(): number {
    const lane = this.#position & 3;
    if (lane === 0) this.#fill();
    this.#position++;
    return this.#block[lane]!;
  }

  /** Passes over so many integers, or numbers made of one, without drawing them. */
  skip(count: number): void {
    this.#position += count;
    if ((this.#position & 3) !== 0) this.#fill();
  }

  #fill(): void {
    const block = Math.floor(this.#position / 4);
    philox([block >>> 0, Math.floor(block / 0x100000000) >>> 0, ...this.#stream], this.#key, this.#block);
  }

  /** Uniform in [0, 1), 24 bits: exact as a float32. */
  uniform(): number {
    return (this.uint32() >>> 8) / 0x1000000;
  }

  /** Uniform in [low, high). */
  between(low: number, high: number): number {
    return low + (high - low) * this.uniform();
  }

  /** A uniform integer in [0, count). */
  integer(count: number): number {
    return Math.floor((this.uint32() / 0x100000000) * count);
  }

  /** True with probability p. */
  chance(p: number): boolean {
    return this.uniform() < p;
  }

  /** Standard normal (Box-Muller, one value a pair of draws). */
  normal(): number {
    const u = (this.uint32() + 0.5) / 0x100000000;
    const v = this.uint32() / 0x100000000;
    return Math.sqrt(-2 * Math.log(u)) * Math.cos(2 * Math.PI * v);
  }

  /** Gamma(shape, 1) (Marsaglia and Tsang 2000; shape < 1 by boosting). */
  gamma(shape: number): number {
    if (shape < 1) return this.gamma(shape + 1) * Math.pow(1 - this.uniform(), 1 / shape);
    const d = shape - 1 / 3,
      c = 1 / Math.sqrt(9 * d);
    for (;;) {
      const x = this.normal();
      const v = (1 + c * x) ** 3;
      if (v > 0 && Math.log(1 - this.uniform()) < 0.5 * x * x + d - d * v + d * Math.log(v)) return d * v;
    }
  }

  /** Beta(a, b). */
  beta(a: number, b: number): number {
    const x = this.gamma(a),
      y = this.gamma(b);
    return x / (x + y);
  }

  /** A shuffled copy of `items` (Fisher-Yates). */
  shuffle<T>(items: readonly T[]): T[] {
    const result = [...items];
    for (let i = result.length - 1; i > 0; i--) {
      const j = this.integer(i + 1);
      [result[i], result[j]] = [result[j]!, result[i]!];
    }
    return result;
  }
}
