/** A smooth function to minimise: its value at `x`, and its gradient written into `gradient`. */
export type Objective = (x: Float64Array, gradient: Float64Array) => Promise<number>;

export interface MinimizeOptions {
  /** Iterations at most (default 200). */
  readonly iterations?: number | undefined;
  /** Stops when no gradient entry is larger (default 1e-5). */
  readonly tolerance?: number;
  /**
   * Where float32 values no longer tell points apart, go on by the gradient, which does: then all engines arrive at
   * the same point. Default false.
   */
  readonly settle?: boolean | undefined;
}

/** A step that was taken, how the gradient changed over it, and 1 / (s y). */
interface Pair {
  readonly s: Float64Array;
  readonly y: Float64Array;
  readonly rho: number;
}

const memory = 10;

function remember(pairs: Pair[], s: Float64Array, y: Float64Array): void {
  const curvature = dot(s, y);
  if (!(curvature > 1e-12 * dot(y, y))) return;
  pairs.push({ s, y, rho: 1 / curvature });
  if (pairs.length > memory) pairs.shift();
}

const dot = (a: Float64Array, b: Float64Array): number => {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
};

// Loops, not callbacks: there are tens of thousands of numbers, and hundreds of iterations.
const difference = (a: Float64Array, b: Float64Array): Float64Array => {
  const result = new Float64Array(a.length);
  for (let i = 0; i < a.length; i++) result[i] = a[i]! - b[i]!;
  return result;
};
const areWithin = (values: Float64Array, limit: number): boolean => {
  for (let i = 0; i < values.length; i++) if (!(Math.abs(values[i]!) <= limit)) return false;
  return true;
};

/**
 * Minimises a smooth convex function by L-BFGS with ten correction pairs (Nocedal 1980; two-loop
 * recursion and Armijo backtracking as in Nocedal & Wright, Numerical Optimization, algorithm 7.4).
 * Changes `x` in place and returns the value.
 */
export async function minimize(objective: Objective, x: Float64Array, options: MinimizeOptions = {}): Promise<number> {
  const n = x.length;
  const { iterations = 200, tolerance = 1e-5, settle = false } = options;
  const pairs: Pair[] = [];
  let gradient = new Float64Array(n);
  let value = await objective(x, gradient);
  for (let iteration = 0; iteration < iterations; iteration++) {
    if (areWithin(gradient, tolerance)) break;
    let direction = descent(gradient, pairs);
    let slope = dot(direction, gradient);
    if (slope >= 0) {
      // Rounding has spoiled the curvature estimate: start again from steepest descent.
      pairs.length = 0;
      direction = descent(gradient, pairs);
      slope = dot(direction, gradient);
    }
    const next = new Float64Array(n),
      nextGradient = new Float64Array(n);
    let step = pairs.length === 0 ? Math.min(1, 1 / Math.sqrt(-slope)) : 1;
    let nextValue = Infinity;
    for (let attempt = 0; attempt < 30; attempt++, step /= 2) {
      for (let i = 0; i < n; i++) next[i] = x[i]! + step * direction[i]!;
      nextValue = await objective(next, nextGradient);
      if (nextValue <= value + 1e-4 * step * slope) break;
    }
    if (!(nextValue < value)) break; // no progress left in this precision
    remember(pairs, difference(next, x), difference(nextGradient, gradient));
    const gain = value - nextValue;
    x.set(next);
    gradient = nextGradient;
    value = nextValue;
    if (gain < 1e-7 * Math.max(1e-3, Math.abs(value))) break;
  }
  if (settle) await settleAt(objective, x, gradient, pairs);
  return value;
}

/** Of `settleAt`: steps at most, those without a shorter gradient that end it, and a length that is rounding alone. */
const [mostSteps, patience, rounding] = [100, 10, 1e-9];

/** Whole quasi-Newton steps from near the optimum; `x` ends where the gradient was shortest. */
async function settleAt(objective: Objective, x: Float64Array, start: Float64Array, pairs: Pair[]): Promise<void> {
  let at = Float64Array.from(x),
    gradient = start;
  let shortest = dot(gradient, gradient);
  for (let step = 0, waited = 0; step < mostSteps && waited < patience && shortest > rounding ** 2; step++) {
    const s = descent(gradient, pairs);
    const next = at.map((v, i) => v + s[i]!),
      nextGradient = new Float64Array(x.length);
    await objective(next, nextGradient);
    remember(pairs, s, difference(nextGradient, gradient));
    [at, gradient] = [next, nextGradient];
    const length = dot(gradient, gradient);
    waited = length < shortest ? 0 : waited + 1;
    if (length >= shortest) continue;
    shortest = length;
    x.set(at);
  }
}

/** -H * gradient by the two-loop recursion, H being the inverse Hessian that the pairs describe. */
function descent(gradient: Float64Array, pairs: readonly Pair[]): Float64Array {
  const q = new Float64Array(gradient.length);
  for (let i = 0; i < q.length; i++) q[i] = -gradient[i]!;
  const alphas: number[] = [];
  for (const { s, y, rho } of [...pairs].reverse()) {
    const alpha = rho * dot(s, q);
    alphas.unshift(alpha);
    for (let i = 0; i < q.length; i++) q[i]! -= alpha * y[i]!;
  }
  const last = pairs.at(-1);
  if (last) {
    const scale = dot(last.s, last.y) / dot(last.y, last.y);
    for (let i = 0; i < q.length; i++) q[i]! *= scale;
  }
  pairs.forEach(({ s, y, rho }, index) => {
    const factor = alphas[index]! - rho * dot(y, q);
    for (let i = 0; i < q.length; i++) q[i]! += factor * s[i]!;
  });
  return q;
}
