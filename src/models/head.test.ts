import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { makePreprocessing } from '../data/preprocessing.js';
import { GraphBuilder } from '../graph/builder.js';
import { evaluateGraph } from '../graph/evaluate.js';
import type { Value } from '../graph/graph.js';
import { Random } from '../random.js';
import { float32, sizeOf, type Tensor } from '../tensor.js';
import { buildModel } from './families/index.js';
import { findHead } from './find-head.js';
import { headFeatures, readHead, replaceHead, setHead } from './head.js';
import { importOnnx } from './import.js';
import type { Model } from './model.js';

const random = (name: string, dims: readonly number[]): Tensor => {
  const stream = new Random(5, name);
  return float32(
    dims,
    Float32Array.from({ length: sizeOf(dims) }, () => stream.normal()),
  );
};

/**
 * A model around an ending: `ending` gets positions [N, 6, 4, 4] and a way to declare parameters,
 * and returns the logits.
 */
function ending(
  make: (builder: GraphBuilder, x: Value, parameter: (name: string, dims: readonly number[]) => Value) => Value,
): Model {
  const builder = new GraphBuilder('ending');
  const parameters = new Map<string, Tensor>();
  const parameter = (name: string, dims: readonly number[]): Value => {
    parameters.set(name, random(name, dims));
    return builder.input(name, 'float32', dims);
  };
  const x = builder.input('input', 'float32', ['N', 3, 4, 4]);
  const body = builder.op(
    'Conv',
    [x, parameter('body.weight', [6, 3, 1, 1])],
    { kernel_shape: [1, 1] },
    { name: 'body' },
  );
  builder.outputs({ logits: make(builder, body, parameter) });
  const graph = builder.build();
  return {
    graph,
    parameters,
    statistics: new Set(),
    head: findHead(graph, parameters),
    preprocessing: makePreprocessing(4),
    labels: undefined,
    architecture: 'ending',
    pretrained: true,
    temperature: 1.5,
  };
}

const evaluate = (model: Pick<Model, 'graph' | 'parameters'>, graph = model.graph): Record<string, Tensor> => {
  const feeds: Record<string, Tensor> = { input: random('input', [2, 3, 4, 4]) };
  for (const { name } of graph.inputs) if (name !== 'input') feeds[name] = model.parameters.get(name)!;
  return evaluateGraph(graph, feeds);
};

const pooled = (builder: GraphBuilder, x: Value): Value =>
  builder.op('Flatten', [builder.op('GlobalAveragePool', [x])], { axis: 1 });

const endings: Record<string, Model> = {
  'Gemm and Softmax (PyTorch)': ending((b, x, p) => {
    const logits = b.op(
      'Gemm',
      [pooled(b, x), p('fc.weight', [5, 6]), p('fc.bias', [5])],
      { transB: 1 },
      { name: 'fc' },
    );
    return b.op('Softmax', [logits], { axis: -1 });
  }),
  'Gemm without transposition': ending((b, x, p) =>
    b.op('Gemm', [pooled(b, x), p('w', [6, 5]), p('c', [5])], {}, { name: 'fc' }),
  ),
  'MatMul and Add (tf2onnx)': ending((b, x, p) =>
    b.op('Add', [b.op('MatMul', [pooled(b, x), p('dense/kernel', [6, 5])], {}, { name: 'fc' }), p('dense/bias', [5])]),
  ),
  'Add with the bias first': ending((b, x, p) =>
    b.op('Add', [
      p('dense/bias', [1, 5]),
      b.op('MatMul', [pooled(b, x), p('dense/kernel', [6, 5])], {}, { name: 'fc' }),
    ]),
  ),
  'MatMul with a transposed weight': ending((b, x, p) =>
    b.op('MatMul', [pooled(b, x), b.op('Transpose', [p('fc.weight', [5, 6])], { perm: [1, 0] })], {}, { name: 'fc' }),
  ),
  '1x1 Conv after pooling, Identity, Flatten (MobileNet)': ending((b, x, p) => {
    const y = b.op(
      'Conv',
      [b.op('GlobalAveragePool', [x]), p('w63', [5, 6, 1, 1]), p('b63', [5])],
      { kernel_shape: [1, 1] },
      { name: 'fc' },
    );
    return b.op('Flatten', [b.op('Identity', [y])], { axis: 1 });
  }),
  '1x1 Conv, ReLU, pooling, Reshape (SqueezeNet)': ending((b, x, p) => {
    const y = b.op(
      'Conv',
      [x, p('classifier.1.weight', [5, 6, 1, 1]), p('classifier.1.bias', [5])],
      { kernel_shape: [1, 1] },
      { name: 'fc' },
    );
    return b.op('Reshape', [b.op('GlobalAveragePool', [b.op('Relu', [y])]), b.ints([0, 5])]);
  }),
  'MatMul at every position, then a mean': ending((b, x, p) => {
    const y = b.op('MatMul', [b.op('Transpose', [x], { perm: [0, 2, 3, 1] }), p('k', [6, 5])], {}, { name: 'fc' });
    return b.op('ReduceMean', [y], { axes: [1, 2], keepdims: 0 });
  }),
  'MatMul at every position, then the largest (VOLO)': ending((b, x, p) => {
    const y = b.op('MatMul', [b.op('Transpose', [x], { perm: [0, 2, 3, 1] }), p('k', [6, 5])], {}, { name: 'fc' });
    return b.op('ReduceMax', [y], { axes: [1, 2], keepdims: 0 });
  }),
};

for (const [name, model] of Object.entries(endings)) {
  test(`head: ${name}`, () => {
    assert.equal(model.head?.node, 'fc');
    assert.deepEqual([model.head.featureCount, model.head.classes], [6, 5]);

    const labels = ['x', 'y'];
    const replaced = replaceHead(model, labels, { seed: 9 });
    assert.deepEqual(replaced.graph.outputs, ['logits']);
    assert.deepEqual(replaced.graph.values.get('logits')!.shape, ['N', 2]);
    assert.deepEqual(replaced.labels, labels);
    assert.equal(replaced.temperature, 1);
    assert.deepEqual(findHead(replaced.graph, replaced.parameters), replaced.head);
    // The parameters are exactly the graph's inputs.
    assert.deepEqual(
      [...replaced.parameters.keys(), 'input'].sort(),
      replaced.graph.inputs.map((input) => input.name).sort(),
    );
    const start = replaced.parameters.get(replaced.head!.weight)!;
    assert.deepEqual(start.dims, [2, 6]);
    assert.ok(start.data.every((w) => Math.abs(Number(w)) < 0.06 && w !== 0));

    // logits = features weightᵀ + bias, so that a head fitted on the features is the model's
    // optimum
    const weight = random('weight', [2, 6]),
      bias = random('bias', [2]);
    const fitted = setHead(replaced, weight, bias);
    const features = evaluate(fitted, headFeatures(fitted))['features']!;
    assert.deepEqual(features.dims, [2, 6]);
    const { logits } = evaluate(fitted);
    for (let n = 0; n < 2; n++) {
      for (let c = 0; c < 2; c++) {
        let sum = Number(bias.data[c]);
        for (let f = 0; f < 6; f++) sum += Number(features.data[n * 6 + f]) * Number(weight.data[c * 6 + f]);
        assert.ok(Math.abs(sum - Number(logits!.data[n * 2 + c])) < 1e-5);
      }
    }
    assert.deepEqual(readHead(fitted), { weight, bias });
    // Once more: a trained model is a start for the next data set.
    assert.deepEqual(replaceHead(fitted, ['p', 'q', 'r'], { seed: 1 }).graph.values.get('logits')!.shape, ['N', 3]);
  });
}

test('the classifier of an encoder is called otherwise where something in it has its name', () => {
  const builder = new GraphBuilder('encoder'),
    dims = [4, 48];
  const flat = builder.op('Flatten', [builder.input('input', 'float32', ['N', 3, 4, 4])]);
  const features = builder.op('Gemm', [flat, builder.input('head.weight', 'float32', dims)], { transB: 1 });
  builder.outputs({ features });
  const parameters = new Map([['head.weight', random('head.weight', dims)]]);
  const encoder: Model = { ...Object.values(endings)[0]!, graph: builder.build(), parameters, head: undefined };
  const { parameters: made } = replaceHead(encoder, ['a', 'b'], { seed: 1 });
  assert.deepEqual([...made.keys()], ['head.weight', 'classifier.weight', 'classifier.bias']);
});

test('setHead keeps the layout of the file', () => {
  for (const name of [
    'Gemm without transposition',
    'MatMul and Add (tf2onnx)',
    '1x1 Conv after pooling, Identity, Flatten (MobileNet)',
  ]) {
    const model = endings[name]!;
    const { weight, bias } = readHead(model);
    const double = ({ dims, data }: Tensor): Tensor =>
      float32(
        dims,
        (data as Float32Array).map((w) => 2 * w),
      );
    const doubled = setHead(model, double(weight), double(bias));
    const before = evaluate(model)['logits']!,
      after = evaluate(doubled)['logits']!;
    before.data.forEach((value, i) => assert.ok(Math.abs(2 * Number(value) - Number(after.data[i])) < 1e-5));
  }
});

test('a model that ends in no classifier: candidates are listed, head names one', () => {
  const model = ending((b, x, p) => {
    const first = b.op('Gemm', [pooled(b, x), p('first.weight', [6, 6])], { transB: 1 }, { name: 'first' });
    const second = b.op('Gemm', [first, p('second.weight', [5, 6])], { transB: 1 }, { name: 'second' });
    return b.op('Sin', [second], {}, { name: 'end' });
  });
  assert.equal(model.head, undefined);
  assert.throws(
    () => replaceHead(model, ['a', 'b'], { seed: 1 }),
    /no classifier.*name its node with `head`; candidates: second \(6 -> 5\), first \(6 -> 6\)/,
  );
  assert.throws(
    () => replaceHead(model, ['a', 'b'], { seed: 1, head: 'secnd' }),
    /no such node; did you mean "second"\?/,
  );
  assert.throws(() => replaceHead(model, ['a', 'b'], { seed: 1, head: 'end' }), /this Sin is no classifier/);
  const cut = replaceHead(model, ['a', 'b'], { seed: 1, head: 'first' });
  assert.deepEqual([...cut.parameters.keys()].sort(), ['body.weight', 'first.bias', 'first.weight']);
  assert.deepEqual(evaluate(cut)['logits']!.dims, [2, 2]);
});

test('built-in networks carry on with new classes', () => {
  const model = buildModel('resnet8', { classes: 10, seed: 1, inputSize: 16 });
  const next = replaceHead(model, ['a', 'b', 'c'], { seed: 2 });
  assert.deepEqual([...next.parameters.keys()].sort(), [...model.parameters.keys()].sort());
  assert.equal(next.parameters.get('layer1.0.conv1.weight'), model.parameters.get('layer1.0.conv1.weight'));
  assert.deepEqual(next.parameters.get('fc.weight')!.dims, [3, 64]);
  assert.equal(next.statistics.size, model.statistics.size);
});

const shared = new URL('../../../shared/models/', import.meta.url);
const files = ['mobilenetv1-0.25-128', 'mobilenetv1-0.75-192', 'mobilenetv2-1.0-224'];
for (const file of files) {
  const path = new URL(`${file}.onnx`, shared);
  test(
    `${file}: its head is found and replaced`,
    { skip: existsSync(path) ? false : 'needs ../shared/models' },
    async () => {
      const model = await importOnnx(fileURLToPath(path));
      assert.equal(model.head?.classes, 1001);
      const replaced = replaceHead(model, ['a', 'b'], { seed: 1 });
      assert.deepEqual(replaced.graph.values.get('logits')!.shape.at(-1), 2);
      assert.deepEqual(headFeatures(replaced).values.get('features')!.shape.at(-1), model.head.featureCount);
    },
  );
}
