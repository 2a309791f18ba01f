import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Engine } from '../engine/engine.js';
import { differentiate } from '../graph/autodiff.js';
import { GraphBuilder } from '../graph/builder.js';
import { evaluateGraph } from '../graph/evaluate.js';
import type { Graph, Value } from '../graph/graph.js';
import { Random } from '../random.js';
import { float32, numbersOf, sizeOf, type Tensor } from '../tensor.js';

/** Whole small networks, forward and backward: layouts change hands between many kinds of node. */

class Network {
  readonly builder = new GraphBuilder('network');
  readonly feeds: Record<string, Tensor> = {};
  readonly parameters: Value[] = [];
  readonly #random = new Random(3, 'network');

  feed(name: string, dims: readonly number[], scale = 1, offset = 0): Value {
    this.feeds[name] = float32(
      dims,
      Float32Array.from({ length: sizeOf(dims) }, () => this.#random.normal() * scale + offset),
    );
    return this.builder.input(name, 'float32', dims);
  }

  parameter(name: string, dims: readonly number[], scale = 1, offset = 0): Value {
    const value = this.feed(name, dims, scale, offset);
    this.parameters.push(value);
    return value;
  }

  convolve(
    name: string,
    x: Value,
    filters: number,
    kernel: number,
    options: { stride?: number; depthwise?: boolean; pad?: number; bias?: boolean; apart?: number } = {},
  ): Value {
    const channels = x.shape[1] as number;
    const group = options.depthwise ? channels : 1;
    const w = this.parameter(
      `${name}.weight`,
      [filters, channels / group, kernel, kernel],
      1 / Math.sqrt((channels / group) * kernel * kernel),
    );
    const bias = options.bias ? [this.parameter(`${name}.bias`, [filters], 0.1)] : [];
    if (options.apart) this.#moveApart(`${name}.bias`, options.apart);
    const { stride = 1, pad = (kernel - 1) / 2 } = options;
    return this.builder.op(
      'Conv',
      [x, w, ...bias],
      {
        kernel_shape: [kernel, kernel],
        strides: [stride, stride],
        pads: [pad, pad, pad, pad],
        dilations: [1, 1],
        group,
      },
      { name },
    );
  }

  /** Filters are moved up and down in turn, so that their sums stand away from zero. */
  #moveApart(bias: string, distance: number): void {
    const values = this.feeds[bias]!.data as Float32Array;
    values.forEach((value, i) => (values[i] = value + (i % 2 ? distance : -distance)));
  }

  normalise(name: string, x: Value, training: boolean): Value {
    const channels = [x.shape[1] as number];
    const inputs = [
      x,
      this.parameter(`${name}.scale`, channels, 0.2, 1),
      this.parameter(`${name}.bias`, channels, 0.3),
      this.feed(`${name}.mean`, channels, 0.1),
      this.feed(`${name}.var`, channels, 0.05, 1),
    ];
    return this.builder.node(
      'BatchNormalization',
      inputs,
      { epsilon: 1e-5, momentum: 0, training_mode: training ? 1 : 0 },
      {
        outputs: training ? 3 : 1,
      },
    )[0]!;
  }

  finish(y: Value): { graph: Graph; feeds: Record<string, Tensor> } {
    const { builder } = this;
    const weights = this.feed('loss weights', y.shape as readonly number[]);
    const terms = builder.op('Mul', [y, weights]);
    const loss = builder.op('ReduceSum', [terms, builder.ints(y.shape.map((_, axis) => axis))], { keepdims: 0 });
    const gradients = differentiate(builder, loss, this.parameters);
    builder.outputs({
      loss,
      terms,
      ...Object.fromEntries(this.parameters.map(({ name }, i) => [`d ${name}`, gradients[i]!])),
    });
    return { graph: builder.build(), feeds: this.feeds };
  }
}

function mobile(training: boolean, batch = 4): { graph: Graph; feeds: Record<string, Tensor> } {
  const net = new Network();
  const { builder } = net;
  const six = (x: Value): Value => builder.op('Clip', [x, 0, 6]);
  const x = net.feed('x', [batch, 3, 18, 18]);
  let y = six(net.normalise('bn0', net.convolve('stem', x, 16, 3, { stride: 2 }), training));
  y = six(net.convolve('expand', y, 32, 1, { bias: true }));
  y = six(net.normalise('bn1', net.convolve('depthwise', y, 32, 3, { depthwise: true, stride: 1 }), training));
  const block = net.convolve('project', y, 24, 1, { bias: true });
  y = builder.op('Relu', [net.normalise('bn2', net.convolve('inner', block, 24, 3, { depthwise: true }), training)]);
  y = builder.op('Add', [block, net.convolve('project2', y, 24, 1)]);
  // Squeeze and excitation, and a branch that leaves the blocked layout. The squeezed values are so
  // few that one of them on the other side of Relu's kink, where rounding may put it, would change
  // the gradient by more than any rounding does.
  const squeezed = builder.op('Relu', [
    net.convolve('reduce', builder.op('GlobalAveragePool', [y]), 8, 1, { bias: true, apart: 1.5 }),
  ]);
  const gate = builder.op('HardSigmoid', [net.convolve('restore', squeezed, 24, 1, { bias: true })], {
    alpha: 1 / 6,
    beta: 0.5,
  });
  y = builder.op('Mul', [y, gate]);
  const wide = builder.op('HardSwish', [net.convolve('down', y, 48, 3, { stride: 2 })]);
  const pooled = builder.op('MaxPool', [wide], { kernel_shape: [3, 3], strides: [1, 1], pads: [1, 1, 1, 1] });
  const joined = builder.op('Concat', [wide, pooled], { axis: 1 });
  const spatial = builder.op('Reshape', [joined, builder.ints([batch, 96, 25])]);
  return net.finish(builder.op('ReduceMean', [spatial], { axes: [2], keepdims: 0 }));
}

function residual(training: boolean, batch = 3): { graph: Graph; feeds: Record<string, Tensor> } {
  const net = new Network();
  const { builder } = net;
  const x = net.feed('x', [batch, 3, 16, 16]);
  let y = builder.op('Relu', [net.normalise('bn0', net.convolve('stem', x, 16, 7, { stride: 2 }), training)]);
  y = builder.op('MaxPool', [y], { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] });
  for (const [i, [filters, stride]] of (
    [
      [16, 1],
      [32, 2],
    ] as const
  ).entries()) {
    const inner = builder.op('Relu', [
      net.normalise(`${i}.bn1`, net.convolve(`${i}.conv1`, y, filters, 3, { stride }), training),
    ]);
    const branch = net.normalise(`${i}.bn2`, net.convolve(`${i}.conv2`, inner, filters, 3), training);
    const shortcut =
      stride === 1 ? y : net.normalise(`${i}.bn3`, net.convolve(`${i}.down`, y, filters, 1, { stride }), training);
    y = builder.op('Relu', [builder.op('Add', [branch, shortcut])]);
  }
  y = builder.op('AveragePool', [y], { kernel_shape: [2, 2], strides: [1, 1] });
  return net.finish(builder.op('Flatten', [builder.op('GlobalAveragePool', [y])]));
}

/** Attention whose scores are scaled behind the product, and layer normalisation (none in batches). */
function attention(_training: boolean, batch = 3): { graph: Graph; feeds: Record<string, Tensor> } {
  const net = new Network();
  const { builder } = net;
  const channels = 16;
  const x = net.feed('x', [batch, 3, 16, 16]);
  const patches = net.convolve('patches', x, channels, 4, { stride: 4, pad: 0, bias: true });
  const tokens = builder.op('Transpose', [builder.op('Reshape', [patches, builder.ints([batch, channels, 16])])], {
    perm: [0, 2, 1],
  });
  const project = (name: string, from: Value): Value =>
    builder.op('MatMul', [from, net.parameter(name, [channels, channels], 1 / Math.sqrt(channels))]);
  const [q, k, v] = ['query', 'key', 'value'].map((name) => project(name, tokens)) as [Value, Value, Value];
  const scores = builder.op('Mul', [
    builder.op('MatMul', [q, builder.op('Transpose', [k], { perm: [0, 2, 1] })]),
    0.25,
  ]);
  const mixed = builder.op('MatMul', [builder.op('Softmax', [scores], { axis: -1 }), v]);
  const sum = builder.op('Add', [tokens, project('projection', mixed)]);
  const [scale, bias] = [net.parameter('scale', [channels], 0.2, 1), net.parameter('bias', [channels], 0.3)];
  const normalised = builder.op('LayerNormalization', [sum, scale, bias], { axis: -1, epsilon: 1e-6 });
  return net.finish(builder.op('ReduceMean', [normalised], { axes: [1], keepdims: 0 }));
}

/**
 * The networks by name: the graph of every gradient, with normalisation trained or frozen, and
 * feeds.
 */
export const networks: readonly (readonly [
  name: string,
  make: (training: boolean, batch?: number) => { graph: Graph; feeds: Record<string, Tensor> },
])[] = [
  ['mobile', mobile],
  ['residual', residual],
  ['attention', attention],
];

const rms = (values: readonly number[]): number =>
  Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);

export interface NetworkOptions {
  /** Images (default: few). */
  readonly batch?: number;
  /** Largest root mean square error of an output relative to its values' (default 2e-4). */
  readonly tolerance?: number;
  /**
   * Another computation with the rounding that is to be expected; errors may be three times its
   * besides.
   */
  readonly rounded?: (graph: Graph, feeds: Readonly<Record<string, Tensor>>) => Record<string, Tensor>;
  readonly skip?: string | false;
}

/**
 * Tests that an engine of each kind computes every gradient of every network as the reference does
 * in doubles, and the same bits twice. `makers`: what the kind is called in a message, and how its
 * engine is made.
 */
export function testNetworks(
  title: string,
  makers: readonly (() => Promise<Engine>)[],
  options: NetworkOptions = {},
): void {
  const { batch, tolerance = 2e-4, rounded, skip = false } = options;
  for (const [name, make] of networks) {
    for (const training of [true, false]) {
      test(
        `${name} network, normalisation ${training ? 'trained' : 'frozen'}: every gradient${title}`,
        { skip },
        async () => {
          const { graph, feeds } = make(training, batch);
          const expected = evaluateGraph(graph, feeds, { float64: true }),
            inevitable = rounded?.(graph, feeds);
          for (const createEngine of makers) {
            const engine = await createEngine();
            try {
              const program = await engine.compile(graph);
              const first = await program.run(feeds);
              const second = await program.run(feeds);
              for (const output of graph.outputs) {
                // What a sum may be off by goes with the size of its terms, which may cancel; over
                // 100 choices in bfloat16 it was up to 1.6 of 2^-8.
                const want = numbersOf(expected[output]!),
                  size = output === 'loss' ? 2 * Math.hypot(...numbersOf(expected['terms']!)) : rms(want) + 1e-3;
                const errorOf = (tensor: Tensor): number => rms(numbersOf(tensor).map((value, i) => value - want[i]!));
                const error = errorOf(first[output]!),
                  allowed = tolerance * size + (inevitable ? 3 * errorOf(inevitable[output]!) : 0);
                assert.ok(
                  error < allowed,
                  `${output} by ${engine.description} with ${JSON.stringify(engine.choices)}: rms error ${error}, ` +
                    `allowed ${allowed}, values about ${size}`,
                );
                assert.deepEqual(
                  second[output]!.data,
                  first[output]!.data,
                  `${output}: the same feeds give the same bits`,
                );
              }
            } finally {
              await engine.close();
            }
          }
        },
      );
    }
  }
}
