import { evaluateNode, canEvaluate } from '../../../graph/evaluate.js';
import type { Node } from '../../../graph/graph.js';
import { PupilError } from '../../../errors.js';
import type { Tensor } from '../../../tensor.js';
import type { Emitter } from '../emitter.js';
import { convolutions } from './convolution.js';
import { elementwise } from './elementwise.js';
import { linear } from './linear.js';
import { loops } from './loops.js';
import type { Lowering, Lowerings } from './lowering.js';
import { normalization } from './normalization.js';
import { pooling } from './pooling.js';
import { reductions } from './reduction.js';
import { shape } from './shape.js';

/** How each op is written; ops that are not here are computed in plain loops. */
export const lowerings: ReadonlyMap<string, Lowering> = new Map(
  [convolutions, elementwise, linear, loops, normalization, pooling, reductions, shape].flatMap((table: Lowerings) =>
    Object.entries(table),
  ),
);

/**
 * Writes the steps of a node: by the library, by loops of ours, or by the reference's plain loops.
 * Throws `unsupported` for an op that has neither.
 */
export function lowerNode(e: Emitter, node: Node): void {
  const row = lowerings.get(node.op);
  if (row?.applies(e, node) && row.write(e, node)) return;
  if (!canEvaluate(node.op))
    throw new PupilError('unsupported', `${node.name}: the oneDNN engine has no ${node.op}; use \`engine: ort\``, {
      option: 'engine',
    });
  const reads = node.inputs.map((name) => (name === '' ? undefined : e.plain(name)));
  const writes = node.outputs.map((name) => (name === '' ? undefined : e.result(name)));
  const present = <T>(list: readonly (T | undefined)[]): T[] => list.filter((item) => item !== undefined);
  e.step({
    name: node.name,
    kind: `${node.op} by the reference`,
    reads: present(reads),
    writes: present(writes),
    run: () => {
      const tensors = reads.map(
        (place): Tensor | undefined => place && { dtype: place.dtype, dims: place.dims, data: place.data },
      );
      evaluateNode(node, tensors).forEach((output, i) =>
        (writes[i]?.data as Float32Array | undefined)?.set(output.data as Float32Array),
      );
    },
  });
}
