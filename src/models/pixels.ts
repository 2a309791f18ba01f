import type { Preprocessing } from '../data/preprocessing.js';
import type { GraphBuilder } from '../graph/builder.js';
import type { Value } from '../graph/graph.js';
import { float32 } from '../tensor.js';

/**
 * Adds the normalisation to a graph: RGB bytes [N, H, W, 3] become float32 [N, 3, H, W], (x / 255 -
 * mean) / std by channel. One Cast, Transpose, Mul and Add, which onnxruntime's web builds run as
 * well.
 */
export function normalizePixels(
  builder: GraphBuilder,
  pixels: Value,
  preprocessing: Pick<Preprocessing, 'mean' | 'std'>,
): Value {
  const { mean, std } = preprocessing;
  // (x / 255 - mean) / std = x * 1 / (255 std) + -mean / std
  const scale = builder.constant(
    float32(
      [1, 3, 1, 1],
      std.map((s) => 1 / (255 * s)),
    ),
  );
  const shift = builder.constant(
    float32(
      [1, 3, 1, 1],
      mean.map((m, i) => -m / std[i]!),
    ),
  );
  return builder.scope('normalize', () => {
    const floats = builder.op('Cast', [pixels], { to: 1 }, { name: 'cast' });
    const planes = builder.op('Transpose', [floats], { perm: [0, 3, 1, 2] }, { name: 'planes' });
    return builder.op('Add', [builder.op('Mul', [planes, scale], {}, { name: 'scale' }), shift], {}, { name: 'shift' });
  });
}
