import { EigenvalueDecomposition, Matrix } from 'ml-matrix';
import type { Engine, Program } from '../../engine/engine.js';
import { GraphBuilder } from '../../graph/builder.js';
import type { Value } from '../../graph/graph.js';
import { Random } from '../../random.js';
import { float32, type Tensor } from '../../tensor.js';
import type { Features } from '../features.js';
import { cholesky, identity, solveLower, times, transpose } from './matrices.js';

/** Rows on their principal components. */
export interface Components {
  /** Row-major [count, size]; columns are uncorrelated, the one that varies most comes first. */
  readonly scores: Float32Array;
  readonly size: number;
  /** Mean square of each column. */
  readonly variances: Float64Array;
}

/** Directions beside those wanted, and rounds: enough that the later components are right, too. */
const spare = 16;
const rounds = 4;

/**
 * The first principal components of rows whose mean is near zero, `most` at most, by randomised
 * subspace iteration (Halko et al. 2011, algorithm 4.4): the products run on the engine.
 */
export async function principalComponents(
  engine: Engine,
  rows: Features,
  most: number,
  random = new Random(0, 'principal components'),
): Promise<Components> {
  const count = rows.features.length / rows.size;
  const size = Math.min(most, count - 1, rows.size),
    wide = Math.min(size + spare, count - 1, rows.size);
  const products = await openProducts(engine, rows, { count, size, wide });
  try {
    let basis: Float32Array = Float32Array.from({ length: wide * rows.size }, () => random.normal());
    let mix = identity(wide);
    for (let round = 0; round < rounds; round++) {
      const { next, nextGram } = await products.turn(basis, mix);
      basis = next;
      mix = whitening(nextGram, wide);
    }
    // Rayleigh-Ritz in the space that was found, whose basis is orthonormal but for rounding.
    const { gram, covariance } = await products.turn(basis, mix);
    const white = whitening(gram, wide);
    const inside = times(times(white, covariance, wide), transpose(white, wide), wide);
    const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(Matrix.from1DArray(wide, wide, inside), {
      assumeSymmetric: true,
    });
    const order = realEigenvalues.map((_, i) => i).sort((a, b) => realEigenvalues[b]! - realEigenvalues[a]!);
    const chosen = order.slice(0, size);
    // [size, wide]: each component in terms of the basis.
    const vectors = Float64Array.from(chosen.flatMap((i) => eigenvectorMatrix.getColumn(i)));
    const directions = times(times(vectors, white, wide), mix, wide);
    return {
      scores: await products.project(basis, directions),
      size,
      variances: Float64Array.from(chosen, (i) => Math.max(0, realEigenvalues[i]!)),
    };
  } finally {
    await products.close();
  }
}

/** A triangular W such that W G W' = 1, for a symmetric positive G [n, n]. */
function whitening(gram: Float64Array, n: number): Float64Array {
  // Directions that float32 cannot tell from those before them get a little of their own.
  let floor = 1e-30;
  for (let i = 0; i < n; i++) floor += 1e-6 * gram[i * n + i]!;
  const held = gram.slice();
  for (let i = 0; i < n; i++) held[i * (n + 1)]! += floor;
  return solveLower(cholesky(held, n), identity(n), n);
}

interface Products {
  /**
   * With B = mix * basis and Y = rows * B': Y'Y / count, BB', the next basis Y' * rows / count and its
   * product with itself.
   */
  turn(
    basis: Float32Array,
    mix: Float64Array,
  ): Promise<{ covariance: Float64Array; gram: Float64Array; next: Float32Array; nextGram: Float64Array }>;
  /** rows * (directions * basis)', [count, size]. */
  project(basis: Float32Array, directions: Float64Array): Promise<Float32Array>;
  close(): Promise<void>;
}

async function openProducts(
  engine: Engine,
  { features, size: width }: Features,
  { count, size, wide }: { readonly count: number; readonly size: number; readonly wide: number },
): Promise<Products> {
  const state = { 'components/rows': null };
  const begin = (name: string, mixed: number) => {
    const b = new GraphBuilder(name);
    const rows = b.input('components/rows', 'float32', [count, width]),
      basis = b.input('basis', 'float32', [wide, width]);
    const directions = b.op('MatMul', [b.input('mix', 'float32', [mixed, wide]), basis]);
    return { b, rows, directions, scores: b.op('Gemm', [rows, directions], { transB: 1 }) };
  };
  const { b, rows, directions, scores } = begin('subspace iteration', wide);
  const mean = (of: Value): Value => b.op('Mul', [b.op('Gemm', [scores, of], { transA: 1 }), 1 / count]);
  const next = mean(rows);
  const gramOf = (of: Value): Value => b.op('Gemm', [of, of], { transB: 1 });
  b.outputs({ covariance: mean(scores), gram: gramOf(directions), next, nextGram: gramOf(next) });
  const last = begin('components', size);
  last.b.outputs({ scores: last.scores });
  await engine.write(new Map([['components/rows', float32([count, width], features)]]));
  const turning = await engine.compile(b.build(), { state, exact: true });
  const projecting = await engine.compile(last.b.build(), { state, exact: true });
  const run = (program: Program, basis: Float32Array, mix: Float64Array): Promise<Record<string, Tensor>> =>
    program.run({
      basis: float32([wide, width], basis),
      mix: float32([mix.length / wide, wide], Float32Array.from(mix)),
    });
  return {
    async turn(basis, mix) {
      const outputs = await run(turning, basis, mix);
      const read = (name: string): Float32Array => outputs[name]!.data as Float32Array;
      return {
        covariance: Float64Array.from(read('covariance')),
        gram: Float64Array.from(read('gram')),
        next: read('next'),
        nextGram: Float64Array.from(read('nextGram')),
      };
    },
    project: async (basis, along) => (await run(projecting, basis, along))['scores']!.data as Float32Array,
    async close() {
      await turning.close();
      await projecting.close();
      await engine.remove(['components/rows']);
    },
  };
}
