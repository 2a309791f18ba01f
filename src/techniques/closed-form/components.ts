import { CholeskyDecomposition, EigenvalueDecomposition, inverse, Matrix } from 'ml-matrix';
import type { Engine } from '../../engine/engine.js';
import { GraphBuilder } from '../../graph/builder.js';
import { Random } from '../../random.js';
import { float32 } from '../../tensor.js';
import type { Features } from '../features.js';

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
export async function principalComponents(engine: Engine, rows: Features, most: number): Promise<Components> {
  const count = rows.features.length / rows.size;
  const size = Math.min(most, count - 1, rows.size),
    wide = Math.min(size + spare, count - 1, rows.size);
  const program = await iteration(engine, rows, count, wide);
  try {
    const random = new Random(0, 'principal components');
    let basis: Float32Array = Float32Array.from({ length: wide * rows.size }, () => random.normal());
    let mix = Matrix.eye(wide);
    for (let round = 0; round < rounds; round++) {
      const { next, nextGram } = await program.run(basis, mix);
      basis = next;
      mix = whitening(nextGram);
    }
    // Rayleigh-Ritz in the space that was found, whose basis is orthonormal but for rounding.
    const { gram, covariance, scores } = await program.run(basis, mix);
    const white = whitening(gram);
    const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(
      white.mmul(covariance).mmul(white.transpose()),
      { assumeSymmetric: true },
    );
    const order = realEigenvalues.map((_, i) => i).sort((a, b) => realEigenvalues[b]! - realEigenvalues[a]!);
    const turn = white.transpose().mmul(eigenvectorMatrix.subMatrixColumn(order.slice(0, size)));
    return {
      scores: Float32Array.from(Matrix.from1DArray(count, wide, scores).mmul(turn).to1DArray()),
      size,
      variances: Float64Array.from(order.slice(0, size), (i) => Math.max(0, realEigenvalues[i]!)),
    };
  } finally {
    await program.close();
  }
}

/** A triangular W such that W G W' = 1, for a symmetric positive G. */
function whitening(gram: Matrix): Matrix {
  const { rows } = gram;
  // Directions that float32 cannot tell from those before them get a little of their own.
  const floor = 1e-6 * gram.trace();
  const held = Matrix.add(gram, Matrix.eye(rows).mul(floor));
  return inverse(new CholeskyDecomposition(held).lowerTriangularMatrix);
}

interface Iteration {
  /**
   * With B = mix * basis and Y = rows * B': Y, Y'Y / count, BB', the next basis Y' * rows / count and its
   * product with itself.
   */
  run(
    basis: Float32Array,
    mix: Matrix,
  ): Promise<{ scores: Float32Array; covariance: Matrix; gram: Matrix; next: Float32Array; nextGram: Matrix }>;
  close(): Promise<void>;
}

async function iteration(
  engine: Engine,
  { features, size }: Features,
  count: number,
  wide: number,
): Promise<Iteration> {
  const b = new GraphBuilder('subspace iteration');
  const rows = b.input('components/rows', 'float32', [count, size]),
    basis = b.input('basis', 'float32', [wide, size]),
    mix = b.input('mix', 'float32', [wide, wide]);
  const mixed = b.op('MatMul', [mix, basis]);
  const gram = b.op('Gemm', [mixed, mixed], { transB: 1 });
  const scores = b.op('Gemm', [rows, mixed], { transB: 1 });
  const covariance = b.op('Mul', [b.op('Gemm', [scores, scores], { transA: 1 }), 1 / count]);
  const next = b.op('Mul', [b.op('Gemm', [scores, rows], { transA: 1 }), 1 / count]);
  const nextGram = b.op('Gemm', [next, next], { transB: 1 });
  b.outputs({ scores, covariance, gram, next, nextGram });
  await engine.write(new Map([['components/rows', float32([count, size], features)]]));
  const program = await engine.compile(b.build(), { state: { 'components/rows': null }, exact: true });
  const square = (data: Float32Array): Matrix => Matrix.from1DArray(wide, wide, data);
  return {
    async run(basis, mix) {
      const outputs = await program.run({
        basis: float32([wide, size], basis),
        mix: float32([wide, wide], Float32Array.from(mix.to1DArray())),
      });
      const read = (name: string): Float32Array => outputs[name]!.data as Float32Array;
      return {
        scores: read('scores'),
        covariance: square(read('covariance')),
        gram: square(read('gram')),
        next: read('next'),
        nextGram: square(read('nextGram')),
      };
    },
    async close() {
      await program.close();
      await engine.remove(['components/rows']);
    },
  };
}
