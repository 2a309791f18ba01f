/** A smooth function to minimise: its value at `x`, and its gradient written into `gradient`. */
export type Objective = (x: Float64Array, gradient: Float64Array) => Promise<number>;

export interface MinimizeOptions {
  /** Iterations at most (default 200). */
  readonly iterations?: number | undefined;
  /** Stops when no gradient entry is larger (default 1e-5). */
  readonly tolerance?: number;
}

const memory = 10;

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
  const { iterations = 200, tolerance = 1e-5 } = options;
  const pairs: { s: Float64Array; y: Float64Array; rho: number }[] = [];
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
    const s = difference(next, x),
      y = difference(nextGradient, gradient);
    const curvature = dot(s, y);
    if (curvature > 1e-12 * dot(y, y)) {
      pairs.push({ s, y, rho: 1 / curvature });
      if (pairs.length > memory) pairs.shift();
    }
    const gain = value - nextValue;
    x.set(next);
    gradient = nextGradient;
    value = nextValue;
    if (gain < 1e-7 * Math.max(1e-3, Math.abs(value))) break;
  }
  return value;
}

/** -H * gradient by the two-loop recursion, H being the inverse Hessian that the pairs describe. */
function descent(
  gradient: Float64Array,
  pairs: readonly { s: Float64Array; y: Float64Array; rho: number }[],
): Float64Array {
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
