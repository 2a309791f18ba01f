/** Small dense matrices, row-major in double precision: what is too small to be sent to an engine. */

/** A B for A [m, k] and B [k, n]. */
export function times(a: Float64Array, b: Float64Array, k: number): Float64Array {
  const m = a.length / k,
    n = b.length / k;
  const result = new Float64Array(m * n);
  for (let i = 0; i < m; i++)
    for (let l = 0; l < k; l++) {
      const factor = a[i * k + l]!,
        from = l * n,
        to = i * n;
      for (let j = 0; j < n; j++) result[to + j]! += factor * b[from + j]!;
    }
  return result;
}

/** A' for A [m, columns]. */
export function transpose(a: Float64Array, columns: number): Float64Array {
  const rows = a.length / columns;
  const result = new Float64Array(a.length);
  for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) result[j * rows + i] = a[i * columns + j]!;
  return result;
}

export function identity(n: number): Float64Array {
  const result = new Float64Array(n * n);
  for (let i = 0; i < n; i++) result[i * (n + 1)] = 1;
  return result;
}

/**
 * The lower triangular L with L L' = A, for a symmetric positive A [n, n]. Where rounding has made A
 * indefinite, its diagonal is raised until it is not. Throws RangeError where A is not finite.
 */
export function cholesky(a: Float64Array, n: number): Float64Array {
  if (!a.every(Number.isFinite)) throw new RangeError('a matrix with values that are not finite has no factors');
  let size = Number.MIN_VALUE;
  for (let i = 0; i < n; i++) size = Math.max(size, Math.abs(a[i * (n + 1)]!));
  for (let raised = 0; ; raised = Math.max(1e-12 * size, 10 * raised)) {
    const root = rootOf(a, n, raised);
    if (root) return root;
  }
}

/** L with L L' = A + raised; undefined where that is not positive. */
function rootOf(a: Float64Array, n: number, raised: number): Float64Array | undefined {
  const result = new Float64Array(n * n);
  for (let i = 0; i < n; i++)
    for (let j = 0; j <= i; j++) {
      let sum = a[i * n + j]! + (i === j ? raised : 0);
      for (let k = 0; k < j; k++) sum -= result[i * n + k]! * result[j * n + k]!;
      if (i === j && !(sum > 0)) return undefined;
      result[i * n + j] = i === j ? Math.sqrt(sum) : sum / result[j * n + j]!;
    }
  return result;
}

/** L^-1 B for a lower triangular L [n, n] and B [n, columns]. */
export function solveLower(l: Float64Array, b: Float64Array, n: number): Float64Array {
  const columns = b.length / n;
  const x = b.slice();
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < i; k++) subtract(x, i, k, l[i * n + k]!, columns);
    for (let c = 0; c < columns; c++) x[i * columns + c]! /= l[i * n + i]!;
  }
  return x;
}

/** L'^-1 B for a lower triangular L [n, n] and B [n, columns]. */
export function solveUpper(l: Float64Array, b: Float64Array, n: number): Float64Array {
  const columns = b.length / n;
  const x = b.slice();
  for (let i = n - 1; i >= 0; i--) {
    for (let k = i + 1; k < n; k++) subtract(x, i, k, l[k * n + i]!, columns);
    for (let c = 0; c < columns; c++) x[i * columns + c]! /= l[i * n + i]!;
  }
  return x;
}

/** Row i less `factor` times row k. */
function subtract(x: Float64Array, i: number, k: number, factor: number, columns: number): void {
  const to = i * columns,
    from = k * columns;
  for (let c = 0; c < columns; c++) x[to + c]! -= factor * x[from + c]!;
}
