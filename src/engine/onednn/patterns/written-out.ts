import type { GraphBuilder } from '../../../graph/builder.js';
import type { Graph, Node, Value } from '../../../graph/graph.js';
import { localResponse, responseScale } from '../../../graph/local-response.js';
import { math } from '../../../graph/math.js';
import { rewrite } from '../../../graph/passes.js';

/** In place of a node, others that have fast code; undefined where it stays. */
type WriteOut = (builder: GraphBuilder, node: Node, inputs: readonly (Value | undefined)[]) => Value | undefined;

/** The bias of a transposed convolution, which the library's backward convolutions do not add. */
const withoutBias: WriteOut = (builder, { attributes }, [x, w, bias]) => {
  if (!bias) return undefined;
  const y = builder.op('ConvTranspose', [x!, w!], attributes),
    space = y.shape.slice(2).map((_, axis) => axis + 1);
  return builder.op('Add', [y, builder.op('Unsqueeze', [bias, builder.ints(space)])]);
};

/** x s^-beta */
const byPools: WriteOut = (builder, { attributes }, [x]) => {
  if (!x!.shape.slice(1).every((size) => typeof size === 'number')) return undefined;
  const options = localResponse(attributes),
    m = math(builder);
  return m.mul(x!, m.pow(responseScale(builder, x!, options), -options.beta));
};

const table: Readonly<Record<string, WriteOut>> = { ConvTranspose: withoutBias, LRN: byPools };

/** The graph with ops that this engine has no code for written in ops for which it has some. */
export function writtenOut(graph: Graph): Graph {
  if (!graph.nodes.some(({ op }) => op in table)) return graph;
  return rewrite(graph, {
    node(node, inputs, builder) {
      const made = builder.scope(node.name, () => table[node.op]?.(builder, node, inputs));
      return made && [made];
    },
  });
}
