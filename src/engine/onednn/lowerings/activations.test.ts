import assert from 'node:assert/strict';
import { test } from 'node:test';
import { differentiate } from '../../../graph/autodiff.js';
import { GraphBuilder } from '../../../graph/builder.js';
import { evaluateGraph } from '../../../graph/evaluate.js';
import type { Attributes, Graph, Value } from '../../../graph/graph.js';
import { Random } from '../../../random.js';
import { float32, sizeOf, type Tensor } from '../../../tensor.js';
import { allBfloat16, relativeError, runProfiled, withoutBfloat16, withoutDnnl } from '../../../testing/onednn.js';

/**
 * y = f(x), and the gradient of sum(y * weights); `x` is a product with a matrix, as in a network,
 * so that its gradient is wanted and its type may be bfloat16.
 */
function graphOf(
  op: string,
  attributes: Attributes,
  shape: readonly number[],
): { graph: Graph; feeds: Record<string, Tensor> } {
  const builder = new GraphBuilder('activation'),
    random = new Random(5, 'activation');
  const feeds: Record<string, Tensor> = {};
  const input = (name: string, size: readonly number[], scale = 1): Value => {
    const data = Float32Array.from({ length: sizeOf(size) }, () => random.normal() * scale);
    feeds[name] = float32(size, data);
    return builder.input(name, 'float32', size);
  };
  const width = shape.at(-1)!,
    matrix = input('matrix', [width, width], 2 / Math.sqrt(width));
  const x = builder.op('MatMul', [input('before', shape), matrix]),
    y = builder.op(op, [x], attributes);
  const loss = builder.op('ReduceSum', [builder.op('Mul', [y, input('weights', shape)])], { keepdims: 0 });
  const [gradient] = differentiate(builder, loss, [matrix]);
  builder.outputs({ y, gradient: gradient! });
  return { graph: builder.build(), feeds };
}

const activations: readonly (readonly [name: string, op: string, attributes: Attributes])[] = [
  ['Swish', 'Swish', {}],
  ['Swish of slope 1.702', 'Swish', { alpha: 1.702 }],
  ['Gelu', 'Gelu', {}],
  ['Gelu by Tanh', 'Gelu', { approximate: 'tanh' }],
  ['HardSwish', 'HardSwish', {}],
  ['Mish', 'Mish', {}],
];
const large = [4, 48, 64];

for (const [name, op, attributes] of activations) {
  test(`${name} and its gradient are a call of the library each`, { skip: withoutDnnl }, () => {
    const { graph, feeds } = graphOf(op, attributes, large),
      expected = evaluateGraph(graph, feeds, { float64: true }),
      { outputs, kinds } = runProfiled(graph, feeds);
    assert.ok(kinds.includes(op) && kinds.includes('gradient of an activation'), kinds.join());
    for (const output of graph.outputs) {
      const error = relativeError(outputs[output]!, expected[output]!);
      assert.ok(error < 3e-6, `${output} off by ${error}`);
    }
  });

  test(`${name} of a small tensor is a loop`, { skip: withoutDnnl }, () => {
    const { graph, feeds } = graphOf(op, attributes, [2, 8, 8]),
      expected = evaluateGraph(graph, feeds, { float64: true }),
      { outputs, kinds } = runProfiled(graph, feeds);
    assert.ok(kinds.filter((kind) => kind.startsWith('loop of')).length >= 2, kinds.join());
    for (const output of graph.outputs) {
      const error = relativeError(outputs[output]!, expected[output]!);
      assert.ok(error < 3e-6, `${output} off by ${error}; ${kinds.join()}`);
    }
  });

  test(`${name} in bfloat16`, { skip: withoutBfloat16 }, () => {
    const { graph, feeds } = graphOf(op, attributes, large),
      expected = evaluateGraph(graph, feeds, { float64: true });
    const { outputs } = runProfiled(graph, feeds, { isHalved: true, choices: allBfloat16 });
    for (const output of graph.outputs) {
      const error = relativeError(outputs[output]!, expected[output]!);
      // the slope of HardSwish jumps by a half, at -3 and 3, which rounded numbers may pass
      assert.ok(error < (op === 'HardSwish' ? 2 ** -5 : 2 ** -7) && error > 1e-5, `${output} off by ${error}`);
    }
  });
}
