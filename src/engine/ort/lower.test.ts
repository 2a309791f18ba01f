import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { differentiate } from '../../graph/autodiff.js';
import { GraphBuilder } from '../../graph/builder.js';
import { evaluateGraph } from '../../graph/evaluate.js';
import type { Attributes, Graph } from '../../graph/graph.js';
import { Random } from '../../random.js';
import { float32, numbersOf, sizeOf, type Tensor } from '../../tensor.js';
import type { Engine } from '../engine.js';
import { lower } from './lower.js';
import { filterGradientMethods, type Convolution, type FilterGradientMethod } from './lowerings/convolution.js';
import { suitsBanks } from './lowerings/filter-banks.js';
import { createOrtEngine } from './index.js';

/** Every lowering against the reference's plain loops in double precision. */

let plain: Engine;
let fast: Engine;

before(async () => {
  plain = await createOrtEngine({ threads: 1, choices: { block: 0 } });
  fast = await createOrtEngine({ threads: 1 });
});
after(() => Promise.all([plain.close(), fast.close()]));

function normal(dims: readonly number[], stream: string): Tensor {
  const random = new Random(7, stream);
  return float32(
    dims,
    Float32Array.from({ length: sizeOf(dims) }, () => random.normal()),
  );
}

async function compare(engine: Engine, graph: Graph, feeds: Record<string, Tensor>, tolerance = 2e-5): Promise<void> {
  const expected = evaluateGraph(graph, feeds, { float64: true });
  const program = await engine.compile(graph);
  const actual = await program.run(feeds);
  for (const name of graph.outputs) {
    const [want, got] = [numbersOf(expected[name]!), numbersOf(actual[name]!)];
    assert.deepEqual(actual[name]!.dims, expected[name]!.dims, `${graph.name} ${name}`);
    const size = Math.sqrt(want.reduce((sum, x) => sum + x * x, 0) / want.length) + 1e-12;
    const worst = want.reduce((most, x, i) => Math.max(most, Math.abs(x - got[i]!)), 0);
    assert.ok(worst <= tolerance * size * 5, `${graph.name} ${name}: differs by ${worst}, values are about ${size}`);
  }
  await program.close();
}

interface ConvolutionCase {
  readonly x: readonly number[];
  readonly filters: number;
  readonly kernel: readonly [number, number];
  readonly attributes?: Attributes;
}

const convolutionCases: readonly ConvolutionCase[] = [
  { x: [2, 3, 7, 6], filters: 4, kernel: [3, 3], attributes: { pads: [1, 1, 1, 1] } },
  { x: [2, 32, 6, 5], filters: 16, kernel: [1, 1] },
  { x: [2, 24, 5, 5], filters: 40, kernel: [1, 1] },
  { x: [2, 16, 8, 8], filters: 32, kernel: [1, 1], attributes: { strides: [2, 2] } },
  { x: [2, 16, 9, 9], filters: 24, kernel: [3, 3], attributes: { pads: [1, 1, 1, 1] } },
  { x: [2, 32, 8, 8], filters: 16, kernel: [3, 3], attributes: { pads: [1, 1, 1, 1], strides: [2, 2] } },
  { x: [1, 3, 12, 12], filters: 32, kernel: [3, 3], attributes: { pads: [0, 0, 1, 1], strides: [2, 2] } },
  { x: [2, 3, 17, 16], filters: 16, kernel: [7, 7], attributes: { pads: [3, 3, 3, 3], strides: [2, 2] } },
  { x: [2, 8, 9, 11], filters: 6, kernel: [5, 5], attributes: { pads: [2, 2, 2, 2] } },
  { x: [2, 8, 9, 11], filters: 6, kernel: [3, 3], attributes: { pads: [2, 2, 2, 2], dilations: [2, 2] } },
  {
    x: [2, 4, 11, 9],
    filters: 6,
    kernel: [3, 3],
    attributes: { pads: [1, 0, 2, 1], dilations: [2, 1], strides: [2, 3] },
  },
  { x: [2, 4, 6, 6], filters: 4, kernel: [1, 1], attributes: { pads: [1, 1, 1, 1] } },
  { x: [2, 16, 5, 5], filters: 16, kernel: [1, 7], attributes: { pads: [0, 3, 0, 3] } },
  { x: [2, 8, 6, 6], filters: 12, kernel: [3, 3], attributes: { pads: [1, 1, 1, 1], group: 4 } },
  { x: [2, 64, 6, 6], filters: 32, kernel: [3, 3], attributes: { pads: [1, 1, 1, 1], group: 2 } },
  { x: [2, 32, 7, 7], filters: 32, kernel: [3, 3], attributes: { pads: [1, 1, 1, 1], group: 8, strides: [2, 2] } },
  { x: [2, 16, 7, 7], filters: 16, kernel: [3, 3], attributes: { pads: [1, 1, 1, 1], group: 16 } },
  { x: [2, 24, 6, 8], filters: 24, kernel: [3, 3], attributes: { pads: [1, 1, 1, 1], group: 24 } },
  { x: [2, 32, 7, 8], filters: 32, kernel: [3, 3], attributes: { pads: [1, 1, 1, 1], group: 32, strides: [2, 2] } },
  { x: [2, 16, 8, 8], filters: 16, kernel: [3, 3], attributes: { pads: [0, 0, 1, 1], group: 16, strides: [2, 2] } },
  { x: [2, 16, 8, 9], filters: 16, kernel: [5, 5], attributes: { pads: [1, 2, 2, 2], group: 16, strides: [2, 2] } },
  { x: [2, 16, 9, 9], filters: 16, kernel: [5, 5], attributes: { pads: [2, 2, 2, 2], group: 16 } },
  { x: [2, 16, 9, 9], filters: 16, kernel: [3, 3], attributes: { pads: [2, 2, 2, 2], group: 16, dilations: [2, 2] } },
  { x: [2, 16, 9, 9], filters: 32, kernel: [3, 3], attributes: { pads: [1, 1, 1, 1], group: 16 } },
  { x: [2, 16, 9, 9], filters: 16, kernel: [7, 7], attributes: { pads: [3, 3, 3, 3], group: 16 } },
];

/** Batches that are summed over in one convolution, in several, or sample by sample. */
const batchCases: readonly ConvolutionCase[] = [
  { x: [16, 16, 7, 7], filters: 32, kernel: [3, 3], attributes: { pads: [1, 1, 1, 1] } },
  { x: [12, 32, 9, 8], filters: 16, kernel: [3, 3], attributes: { pads: [1, 1, 1, 1] } },
  { x: [21, 16, 6, 6], filters: 16, kernel: [3, 3], attributes: { pads: [1, 1, 1, 1] } },
  { x: [21, 16, 12, 6], filters: 24, kernel: [1, 1] },
  { x: [20, 16, 9, 9], filters: 16, kernel: [3, 3], attributes: { pads: [1, 1, 1, 1] } },
  { x: [20, 32, 12, 12], filters: 16, kernel: [1, 1] },
  { x: [5, 24, 12, 9], filters: 40, kernel: [3, 2], attributes: { pads: [1, 0, 2, 1], strides: [2, 1] } },
  { x: [16, 3, 12, 12], filters: 24, kernel: [7, 7], attributes: { pads: [3, 3, 3, 3], strides: [2, 2] } },
  { x: [16, 32, 6, 6], filters: 16, kernel: [3, 3], attributes: { pads: [1, 1, 1, 1], strides: [2, 2] } },
  { x: [3, 16, 13, 12], filters: 16, kernel: [3, 3], attributes: { pads: [2, 2, 2, 2], dilations: [2, 2] } },
  { x: [8, 16, 12, 11], filters: 40, kernel: [1, 1] },
  { x: [8, 40, 5, 5], filters: 24, kernel: [1, 1] },
  { x: [8, 16, 9, 9], filters: 32, kernel: [1, 1], attributes: { strides: [2, 2] } },
  { x: [4, 64, 8, 8], filters: 16, kernel: [1, 1], attributes: { strides: [2, 2] } },
  // Rows and columns that no window reaches.
  { x: [4, 32, 9, 9], filters: 16, kernel: [2, 2], attributes: { strides: [2, 2] } },
  { x: [8, 32, 10, 8], filters: 16, kernel: [3, 3], attributes: { strides: [2, 2] } },
  { x: [4, 16, 9, 12], filters: 32, kernel: [3, 3], attributes: { strides: [2, 3], pads: [0, 1, 0, 0] } },
  { x: [6, 8, 8, 8], filters: 16, kernel: [1, 1] },
  { x: [6, 32, 8, 8], filters: 6, kernel: [1, 1] },
];

const label = ({ x, filters, kernel, attributes = {} }: ConvolutionCase): string =>
  `[${x.join(', ')}] ${filters} filters ${kernel.join('x')} ${JSON.stringify(attributes)}`;

/** y, dx and dw of one convolution, dy fed. */
function convolutionGraph(c: ConvolutionCase): { graph: Graph; feeds: Record<string, Tensor> } {
  const builder = new GraphBuilder(label(c));
  const group = (c.attributes?.group as number | undefined) ?? 1;
  const filterShape = [c.filters, c.x[1]! / group, ...c.kernel];
  const attributes = {
    strides: [1, 1],
    pads: [0, 0, 0, 0],
    dilations: [1, 1],
    group: 1,
    ...c.attributes,
    kernel_shape: [...c.kernel],
  };
  const x = builder.input('x', 'float32', c.x);
  const w = builder.input('w', 'float32', filterShape);
  const y = builder.op('Conv', [x, w], attributes);
  const dyShape = y.shape as readonly number[];
  const dy = builder.input('dy', 'float32', dyShape);
  const dx = builder.op('ConvGradInput', [dy, w], { ...attributes, input_shape: [...c.x] });
  const dw = builder.op('ConvGradWeight', [x, dy], attributes);
  builder.outputs({ y, dx, dw });
  return {
    graph: builder.build(),
    feeds: { x: normal(c.x, 'x'), w: normal(filterShape, 'w'), dy: normal(dyShape, 'dy') },
  };
}

for (const c of [...convolutionCases, ...batchCases]) {
  test(`convolution ${label(c)}`, async () => {
    const { graph, feeds } = convolutionGraph(c);
    await compare(plain, graph, feeds);
    await compare(fast, graph, feeds);
  });
}

test('dense filter gradients of usual sizes are left to the blocked kernels', (t) => {
  const block = fast.choices['block'] as 0 | 8 | 16;
  if (block === 0) return t.skip('this processor has no blocked kernels');
  const filterGradient = (c: Convolution): FilterGradientMethod => (suitsBanks(c, block) ? 'banks' : 'samples');
  for (const c of batchCases.slice(0, 4)) {
    const { graph } = convolutionGraph(c);
    const { nodes } = lower(graph, { recorded: {}, block, filterGradient });
    const ops = nodes.filter(({ name }) => name.includes('ConvGradWeight')).map(({ op }) => op);
    assert.ok(ops.includes('Conv') && !ops.includes('FusedMatMul'), `${label(c)}: ${ops.join(' ')}`);
  }
});

test('a batch that would be filled with many zeros is summed over in parts', (t) => {
  const block = fast.choices['block'] as 0 | 8 | 16;
  if (block !== 16) return t.skip('this processor has no blocks of 16 channels');
  for (const [batch, samples] of [
    [20, [10, 10]],
    [30, [32]],
    [19, [32]],
  ] as const) {
    const { graph } = convolutionGraph({
      ...{ x: [batch, 16, 9, 9], filters: 16, kernel: [3, 3] },
      attributes: { pads: [1, 1, 1, 1] },
    });
    const { nodes, values } = lower(graph, { recorded: {}, block, filterGradient: () => 'banks' });
    const found = nodes
      .filter(({ name, op }) => name.includes('ConvGradWeight') && op === 'Conv')
      .map(({ inputs }) => values.get(inputs[0]!)!.shape[1]);
    assert.deepEqual(found, samples, `${batch} samples`);
  }
});

for (const method of filterGradientMethods) {
  test(`dense filter gradients by the method ${method}`, async () => {
    const engine = await createOrtEngine({
      threads: 1,
      choices: { filterGradient: method, ...(method === 'banks' ? {} : { block: 0 }) },
    });
    try {
      for (const c of [...convolutionCases, ...batchCases].filter(
        ({ attributes }) => attributes?.group === undefined,
      )) {
        const { graph, feeds } = convolutionGraph(c);
        await compare(engine, graph, feeds);
      }
    } finally {
      await engine.close();
    }
  });
}

for (const channels of [24, 5]) {
  test(`the gradient of Swish over ${channels} channels is four passes`, async () => {
    const builder = new GraphBuilder('swish');
    const shape = [2, channels, 6, 5];
    const [image, w, dy] = [
      builder.input('image', 'float32', shape),
      builder.input('w', 'float32', [channels, channels, 1, 1]),
      builder.input('dy', 'float32', shape),
    ];
    const x = builder.op('Conv', [image, w], { kernel_shape: [1, 1] });
    const y = builder.op('Swish', [x]);
    const loss = builder.op('ReduceSum', [builder.op('Mul', [y, dy])], { keepdims: 0 });
    const [dw] = differentiate(builder, loss, [w]);
    builder.outputs({ y, dw: dw! });
    const feeds = { image: normal(shape, 'image'), w: normal(w.shape as number[], 'w'), dy: normal(shape, 'dy') };
    const graph = builder.build();
    for (const block of [0, fast.choices['block'] as 0 | 8 | 16]) {
      const { nodes } = lower(graph, { recorded: {}, block: block as 0, filterGradient: () => 'samples' });
      const passes = nodes
        .filter(({ name, op }) => name.includes('SwishGrad/') && ['Mul', 'Sub', 'Add'].includes(op))
        .map(({ op }) => op);
      assert.deepEqual(passes.filter((op) => op !== 'Mul').sort(), ['Add', 'Sub'], passes.join(' '));
    }
    for (const engine of [plain, fast]) await compare(engine, graph, feeds);
  });
}

for (const training of [0, 1]) {
  for (const shape of [
    [4, 16, 5, 6],
    [3, 24, 7, 7],
    [8, 5],
  ]) {
    test(`BatchNormalization of [${shape.join(', ')}] with training_mode ${training}`, async () => {
      const builder = new GraphBuilder(`normalise ${shape.length} ${training}`);
      const channels = [shape[1]!];
      const [x, dy] = [builder.input('x', 'float32', shape), builder.input('dy', 'float32', shape)];
      const [scale, bias, mean, variance] = ['scale', 'bias', 'mean', 'variance'].map((name) =>
        builder.input(name, 'float32', channels),
      );
      const attributes = { epsilon: 1e-3, momentum: 0.9, training_mode: training };
      const [y, nextMean, nextVariance] = builder.node(
        'BatchNormalization',
        [x, scale!, bias!, mean!, variance!],
        attributes,
        {
          outputs: training ? 3 : 1,
        },
      );
      const statistics = training
        ? builder
            .node(
              'BatchNormalization',
              [x, scale!, bias!, mean!, variance!],
              { ...attributes, momentum: 0 },
              { outputs: 3 },
            )
            .slice(1)
        : [mean!, variance!];
      const [dx, dscale, dbias] = builder.node(
        'BatchNormalizationGrad',
        [dy, x, scale!, statistics[0]!, statistics[1]!],
        {
          epsilon: 1e-3,
          training_mode: training,
        },
      );
      builder.outputs({
        y: y!,
        dx: dx!,
        dscale: dscale!,
        dbias: dbias!,
        ...(training ? { nextMean: nextMean!, nextVariance: nextVariance! } : {}),
      });
      const positive = normal(channels, 'variance').data as Float32Array;
      const feeds = {
        x: normal(shape, 'x'),
        dy: normal(shape, 'dy'),
        scale: normal(channels, 'scale'),
        bias: normal(channels, 'bias'),
        mean: normal(channels, 'mean'),
        variance: float32(
          channels,
          positive.map((value) => value * value + 0.5),
        ),
      };
      for (const engine of [plain, fast]) await compare(engine, builder.build(), feeds);
    });
  }
}

for (const [shape, axis] of [
  [[4, 7, 12], -1],
  [[2, 3, 4, 5], 2],
  [[6, 33], 1],
] as const) {
  test(`LayerNormalization of [${shape.join(', ')}] from axis ${axis}`, async () => {
    const builder = new GraphBuilder('layer');
    const scaleShape = shape.slice(axis);
    const [x, dy] = [builder.input('x', 'float32', shape), builder.input('dy', 'float32', shape)];
    const scale = builder.input('scale', 'float32', scaleShape);
    const bias = builder.input('bias', 'float32', scaleShape);
    const [y, mean, rate] = builder.node(
      'LayerNormalization',
      [x, scale, bias],
      { axis, epsilon: 1e-6 },
      { outputs: 3 },
    );
    const [dx, dscale, dbias] = builder.node('LayerNormalizationGrad', [dy, x, scale, mean!, rate!], { axis });
    builder.outputs({ y: y!, dx: dx!, dscale: dscale!, dbias: dbias! });
    const feeds = {
      x: normal(shape, 'x'),
      dy: normal(shape, 'dy'),
      scale: normal(scaleShape, 'scale'),
      bias: normal(scaleShape, 'bias'),
    };
    await compare(plain, builder.build(), feeds);
  });
}

const poolCases: readonly { readonly shape: readonly number[]; readonly attributes: Attributes }[] = [
  { shape: [2, 3, 8, 8], attributes: { kernel_shape: [2, 2], strides: [2, 2] } },
  { shape: [2, 16, 9, 9], attributes: { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] } },
  { shape: [2, 16, 8, 7], attributes: { kernel_shape: [3, 3], strides: [2, 2], ceil_mode: 1 } },
  { shape: [2, 16, 7, 7], attributes: { kernel_shape: [3, 3], pads: [1, 1, 1, 1] } },
  { shape: [1, 2, 9, 8], attributes: { kernel_shape: [3, 2], strides: [3, 1], pads: [1, 0, 0, 1] } },
  { shape: [2, 32, 8, 6], attributes: { kernel_shape: [2, 2], strides: [2, 2] } },
  { shape: [2, 16, 7, 9], attributes: { kernel_shape: [2, 3], strides: [2, 4], ceil_mode: 1 } },
  { shape: [2, 20, 7, 8], attributes: { kernel_shape: [2, 2], strides: [2, 3], pads: [1, 0, 0, 1] } },
];

for (const { shape, attributes } of poolCases) {
  test(`pools of [${shape.join(', ')}] ${JSON.stringify(attributes)}`, async () => {
    const builder = new GraphBuilder('pool'),
      channels = shape[1]!;
    const full = { strides: [1, 1], pads: [0, 0, 0, 0], ceil_mode: 0, ...attributes };
    const x = builder.input('x', 'float32', shape);
    // a convolution that changes nothing brings x into blocks where they are used
    const same = builder.constant(
      float32(
        [channels, channels, 1, 1],
        Float32Array.from({ length: channels ** 2 }, (_, i) => (i % (channels + 1) === 0 ? 1 : 0)),
      ),
    );
    const image = builder.op('Conv', [x, same], { kernel_shape: [1, 1] });
    const y = builder.op('MaxPool', [image], full);
    const dy = builder.input('dy', 'float32', y.shape);
    const outputs: Record<string, typeof y> = { y, max: builder.op('MaxPoolGrad', [image, y, dy], full) };
    const clipped = builder.op('Relu', [image]);
    const largest = builder.op('MaxPool', [clipped], full);
    const given = builder.op('MaxPoolGrad', [clipped, largest, dy], full);
    outputs['relu'] = builder.op('ClipGrad', [given, clipped], { low: 0, high: Infinity });
    for (const include of [0, 1]) {
      outputs[`average${include}`] = builder.op('AveragePoolGrad', [dy], {
        ...full,
        count_include_pad: include,
        input_shape: [...shape],
      });
    }
    builder.outputs(outputs);
    // few distinct values, so that windows have ties
    const values = normal(shape, 'x').data as Float32Array;
    const feeds = {
      x: float32(
        shape,
        values.map((value) => Math.round(value)),
      ),
      dy: normal(y.shape as readonly number[], 'dy'),
    };
    for (const engine of [plain, fast]) await compare(engine, builder.build(), feeds);
  });
}

test('the gradient of a pool over a Relu is masked before it is spread', (t) => {
  const block = fast.choices['block'] as 0 | 8 | 16;
  if (block === 0) return t.skip('this processor has no blocked kernels');
  const builder = new GraphBuilder('pool'),
    window = { kernel_shape: [2, 2], strides: [2, 2], pads: [0, 0, 0, 0], ceil_mode: 0 };
  const [x, w] = [builder.input('x', 'float32', [2, 32, 8, 6]), builder.input('w', 'float32', [32, 32, 1, 1])];
  const clipped = builder.op('Relu', [builder.op('Conv', [x, w], { kernel_shape: [1, 1] })]);
  const y = builder.op('MaxPool', [clipped], window);
  const [dw] = differentiate(builder, builder.op('ReduceSum', [builder.op('Mul', [y, y])], { keepdims: 0 }), [w]);
  builder.outputs({ dw: dw! });
  const { nodes, values } = lower(builder.build(), { recorded: {}, block, filterGradient: () => 'banks' });
  const masked = nodes.filter(({ name, op }) => name.includes('ClipGrad') && op === 'Mul');
  assert.deepEqual(
    masked.map(({ outputs }) => values.get(outputs[0]!)!.shape),
    [[2, 32, 4, 3]],
  );
});
