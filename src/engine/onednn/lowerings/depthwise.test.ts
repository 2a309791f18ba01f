import assert from 'node:assert/strict';
import { test } from 'node:test';
import { differentiate } from '../../../graph/autodiff.js';
import { GraphBuilder } from '../../../graph/builder.js';
import { evaluateGraph } from '../../../graph/evaluate.js';
import type { Graph, Value } from '../../../graph/graph.js';
import { Random } from '../../../random.js';
import { float32, sizeOf, type Tensor } from '../../../tensor.js';
import { allBfloat16, relativeError, runProfiled, withoutBfloat16, withoutDnnl } from '../../../testing/onednn.js';

interface Case {
  readonly source: readonly [samples: number, channels: number, height: number, width: number];
  readonly kernel: readonly [number, number];
  readonly stride?: number;
  readonly dilation?: number;
  readonly pads?: readonly [number, number, number, number];
  readonly bias?: boolean;
}

/**
 * A 1x1 convolution, so that layouts are the library's, a depthwise one, and all gradients of sum(y
 * * weights).
 */
function graphOf({ source, kernel, stride = 1, dilation = 1, pads = [2, 2, 2, 2], bias = false }: Case): {
  graph: Graph;
  feeds: Record<string, Tensor>;
} {
  const builder = new GraphBuilder('depthwise'),
    random = new Random(9, 'depthwise'),
    feeds: Record<string, Tensor> = {};
  const input = (name: string, dims: readonly number[], scale = 1): Value => {
    feeds[name] = float32(
      dims,
      Float32Array.from({ length: sizeOf(dims) }, () => random.normal() * scale),
    );
    return builder.input(name, 'float32', dims);
  };
  const [samples, channels, height, width] = source,
    filters = input('filters', [channels, 1, ...kernel], 0.3),
    before = input('before', [channels, 8, 1, 1], 0.4);
  const x = builder.op('Conv', [input('x', [samples, 8, height, width]), before]);
  const operands = [x, filters, ...(bias ? [input('bias', [channels])] : [])];
  const y = builder.op('Conv', operands, {
    group: channels,
    kernel_shape: [...kernel],
    strides: [stride, stride],
    dilations: [dilation, dilation],
    pads: [...pads],
  });
  const loss = builder.op('ReduceSum', [builder.op('Mul', [y, input('weights', y.shape as number[])])], {
    keepdims: 0,
  });
  const parameters = [filters, before, ...operands.slice(2)];
  const gradients = differentiate(builder, loss, parameters);
  builder.outputs({ y, ...Object.fromEntries(parameters.map(({ name }, i) => [`d ${name}`, gradients[i]!])) });
  return { graph: builder.build(), feeds };
}

const cases: readonly (Case & { readonly by?: 'samples' | 'the library' })[] = [
  { source: [3, 32, 14, 14], kernel: [5, 5], by: 'samples' },
  { source: [3, 32, 14, 14], kernel: [5, 5], stride: 2, by: 'samples' },
  { source: [2, 48, 13, 9], kernel: [5, 5], by: 'samples' },
  { source: [2, 48, 13, 9], kernel: [5, 5], stride: 2, by: 'samples' },
  { source: [4, 40, 11, 15], kernel: [5, 5], stride: 2 },
  { source: [4, 24, 12, 12], kernel: [5, 5] },
  { source: [3, 20, 7, 7], kernel: [5, 5] },
  { source: [1, 16, 10, 10], kernel: [5, 5] },
  { source: [2, 32, 9, 9], kernel: [7, 7], pads: [3, 3, 3, 3] },
  { source: [2, 32, 12, 12], kernel: [5, 5], stride: 2, pads: [1, 1, 2, 2] },
  { source: [2, 32, 15, 11], kernel: [5, 3], pads: [2, 1, 2, 1] },
  { source: [2, 16, 16, 16], kernel: [3, 3], dilation: 2 },
  { source: [2, 32, 14, 14], kernel: [5, 5], pads: [0, 0, 0, 0] },
  { source: [3, 32, 14, 14], kernel: [5, 5], bias: true },
  { source: [3, 32, 14, 14], kernel: [3, 3], pads: [1, 1, 1, 1] },
];

for (const given of cases) {
  const { source, kernel, stride = 1, dilation = 1, pads, bias, by } = given;
  const about = [
    `${kernel.join('x')} over [${source.join(', ')}]`,
    `stride ${stride}`,
    dilation > 1 && `dilation ${dilation}`,
    pads && `pads ${pads.join(' ')}`,
    bias && 'bias',
  ]
    .filter(Boolean)
    .join(', ');

  test(`depthwise ${about}: every gradient`, { skip: withoutDnnl }, () => {
    const { graph, feeds } = graphOf(given),
      expected = evaluateGraph(graph, feeds, { float64: true }),
      { outputs, kinds } = runProfiled(graph, feeds);
    for (const name of graph.outputs)
      assert.ok(
        relativeError(outputs[name]!, expected[name]!) < 2e-6,
        `${name} off by ${relativeError(outputs[name]!, expected[name]!)}; ${kinds.join(', ')}`,
      );
    if (by) assert.equal(kinds.includes('ConvGradWeight by samples'), by === 'samples', kinds.join(', '));
  });

  test(`depthwise ${about}: every gradient in bfloat16`, { skip: withoutBfloat16 }, () => {
    const { graph, feeds } = graphOf(given),
      expected = evaluateGraph(graph, feeds, { float64: true });
    const { outputs, kinds } = runProfiled(graph, feeds, { isHalved: true, choices: allBfloat16 });
    for (const name of graph.outputs) {
      const error = relativeError(outputs[name]!, expected[name]!);
      // the bias' gradient is a sum of what was fed, which is in float32
      assert.ok(error < 2 ** -7 && (name === 'd bias' || error > 1e-5), `${name} off by ${error}; ${kinds.join(', ')}`);
    }
    if (by) assert.equal(kinds.includes('ConvGradWeight by samples'), by === 'samples', kinds.join(', '));
  });
}
