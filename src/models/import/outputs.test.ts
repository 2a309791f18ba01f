import assert from 'node:assert/strict';
import { test } from 'node:test';
import { softmax } from '../../evaluate/metrics.js';
import { evaluateGraph } from '../../graph/evaluate.js';
import type { OnnxAttribute, OnnxFile } from '../../onnx/index.js';
import { float32, int64, numbersOf, type Tensor } from '../../tensor.js';
import { assertClose, logitsOf, ramp, sketch } from '../../testing/sketch.js';
import { headFeatures, replaceHead, setHead } from '../head.js';
import { importFile, type ImportOptions } from '../import.js';
import { isEncoder, type Model } from '../model.js';

type Nodes = [string, string[], string[], Record<string, OnnxAttribute>?][];

const images = ramp(2, 3, 2, 2);
const weights = {
  w: ramp(3, 3, 1, 1),
  fc: float32(
    [4, 3],
    numbersOf(ramp(4, 3)).map((x) => 3 * x),
  ),
  other: ramp(4, 3),
  bias: float32([4], [0.3, -0.2, 0.1, 0.5]),
};
/** Positions `a` [N, 3, 2, 2], features `f` [N, 3] and scores `z` [N, 4]. */
const network: Nodes = [
  ['Conv', ['x', 'w'], ['c']],
  ['Relu', ['c'], ['a']],
  ['GlobalAveragePool', ['a'], ['p']],
  ['Flatten', ['p'], ['f']],
  ['Gemm', ['f', 'fc', 'bias'], ['z'], { transB: 1 }],
];

const file = (tail: Nodes, outputs: readonly string[], more: Record<string, Tensor> = {}): OnnxFile => {
  const made = sketch([...network, ...tail], { weights: { ...weights, ...more } });
  return {
    ...made,
    graph: { ...made.graph, outputs: outputs.map((name) => ({ name, dtype: 'float32', shape: undefined })) },
  };
};
const notes: string[] = [];
const imported = (onnx: OnnxFile, options: ImportOptions = {}): Model => {
  notes.length = 0;
  return importFile(onnx, 'm', { ...options, warn: (note) => notes.push(note) }).model;
};
const rowsOf = (values: readonly number[], width: number): number[][] =>
  Array.from({ length: values.length / width }, (_, i) => values.slice(i * width, (i + 1) * width));
const probabilities = (model: Model): number[] => [
  ...softmax(Float32Array.from(numbersOf(logitsOf(model, images))), Number(model.graph.values.get('logits')!.shape[1])),
];

const plain = imported(file([], ['z']));
const wanted = probabilities(plain);

/** Ends that make the same probabilities of the scores z. */
const softmaxes: Record<string, [Nodes, Record<string, Tensor>?]> = {
  'Softmax': [[['Softmax', ['z'], ['y'], { axis: 1 }]]],
  'LogSoftmax': [[['LogSoftmax', ['z'], ['y'], { axis: -1 }]]],
  'Softmax and Log': [
    [
      ['Softmax', ['z'], ['s'], { axis: 1 }],
      ['Log', ['s'], ['y']],
    ],
  ],
  'Softmax, then Reshape': [
    [
      ['Softmax', ['z'], ['s'], { axis: 1 }],
      ['Reshape', ['s', 'shape'], ['y']],
    ],
    { shape: int64([2], [-1, 4]) },
  ],
  'Softmax over channels, then Squeeze': [
    [
      ['Unsqueeze', ['z', 'axes'], ['u']],
      ['Softmax', ['u'], ['s'], { axis: 1 }],
      ['Squeeze', ['s', 'axes'], ['y']],
    ],
    { axes: int64([2], [2, 3]) },
  ],
  'Softmax, then Clip': [
    [
      ['Softmax', ['z'], ['s'], { axis: 1 }],
      ['Clip', ['s', 'low', 'high'], ['y']],
    ],
    { low: float32([], [1e-7]), high: float32([], [1 - 1e-7]) },
  ],
  'Softmax in percent': [
    [
      ['Softmax', ['z'], ['s'], { axis: 1 }],
      ['Relu', ['s'], ['r']],
      ['Mul', ['hundred', 'r'], ['y']],
    ],
    { hundred: float32([], [100]) },
  ],
  'LogSoftmax, then Exp': [
    [
      ['LogSoftmax', ['z'], ['s'], { axis: 1 }],
      ['Exp', ['s'], ['y']],
    ],
  ],
  'a softmax written out': [
    [
      ['ReduceMax', ['z'], ['m'], { axes: [1], keepdims: 1 }],
      ['Sub', ['z', 'm'], ['d']],
      ['Exp', ['d'], ['e']],
      ['ReduceSum', ['e', 'axis'], ['t'], { keepdims: 1 }],
      ['Div', ['e', 't'], ['y']],
    ],
    { axis: int64([1], [1]) },
  ],
  'the mean of two distributions': [
    [
      ['Softmax', ['z'], ['s'], { axis: 1 }],
      ['LogSoftmax', ['z'], ['l'], { axis: 1 }],
      ['Exp', ['l'], ['r']],
      ['Add', ['s', 'r'], ['t']],
      ['Mul', ['t', 'half'], ['y']],
    ],
    { half: float32([], [0.5]) },
  ],
};
for (const [name, [tail, more]] of Object.entries(softmaxes))
  test(`${name}: the probabilities are the file's`, () => {
    assertClose(probabilities(imported(file(tail, ['y'], more))), wanted, 1e-6);
  });

test('probabilities of some of the classes, in another order, keep their proportions', () => {
  const model = imported(
    file(
      [
        ['Softmax', ['z'], ['s'], { axis: 1 }],
        ['Gather', ['s', 'order'], ['y'], { axis: 1 }],
      ],
      ['y'],
      { order: int64([3], [2, 0, 1]) },
    ),
  );
  const expected = rowsOf(wanted, 4).flatMap(([a, b, c]) => {
    const sum = a! + b! + c!;
    return [c! / sum, a! / sum, b! / sum];
  });
  assertClose(probabilities(model), expected, 1e-6);
});

test('what scores mean is said where they are not those of classes that exclude one another', () => {
  imported(file([['Sigmoid', ['z'], ['y']]], ['y']));
  assert.match(notes.join(), /a probability of its own \(sigmoid\)/);
  imported(file([['Softmax', ['z'], ['y'], { axis: 1 }]], ['y']));
  assert.doesNotMatch(notes.join(), /of its own|one number/);
  imported(file([['Gemm', ['z', 'column'], ['y']]], ['y'], { column: float32([4, 1], [1, -1, 2, 0]) }));
  assert.match(notes.join(), /one number an image, which is taken as the score of the second of two classes/);
});

test('a softmax over something else than the classes stays', () => {
  const model = imported(
    file(
      [
        ['Softmax', ['z'], ['s'], { axis: 0 }],
        ['Gemm', ['s', 'square'], ['y']],
      ],
      ['y'],
      { square: ramp(4, 4) },
    ),
  );
  assert.ok(model.graph.nodes.some(({ op }) => op === 'Softmax'));
});

test('Sigmoid: the scores before it, and one output is the second of two classes', () => {
  const many = imported(file([['Sigmoid', ['z'], ['y']]], ['y']));
  assertClose(numbersOf(logitsOf(many, images)), numbersOf(logitsOf(plain, images)), 0);
  assert.equal(many.head?.classes, 4);
  const one = imported(
    file(
      [
        ['MatMul', ['f', 'column'], ['s']],
        ['Sigmoid', ['s'], ['y']],
      ],
      ['y'],
      { column: ramp(3, 1) },
    ),
  );
  assert.deepEqual([one.head?.weight, one.head?.classes], ['column', 2]);
  const scores = rowsOf(numbersOf(logitsOf(one, images)), 2);
  const { features } = evaluateGraph(headFeatures(one), { input: images, ...Object.fromEntries(one.parameters) });
  for (const [i, row] of rowsOf(numbersOf(features!), 3).entries()) {
    const score = row.reduce((sum, x, j) => sum + x * numbersOf(ramp(3, 1))[j]!, 0);
    assertClose(scores[i]!, [0, score], 1e-6);
  }
});

const ends: Record<string, [Nodes, Record<string, Tensor>?]> = {
  'a scale': [[['Mul', ['z', 'k'], ['y']]], { k: float32([], [4]) }],
  'a scale and a shift of each class': [
    [
      ['Mul', ['z', 'k'], ['s']],
      ['Add', ['s', 'k'], ['y']],
    ],
    { k: ramp(4) },
  ],
  'a BatchNormalization': [
    [['BatchNormalization', ['z', 'bias', 'bias', 'bias', 'one'], ['y']]],
    { one: float32([4], [1, 1, 1, 1]) },
  ],
};
for (const [name, [tail, more]] of Object.entries(ends))
  test(`the classifier is found before ${name}`, () => {
    const model = imported(file(tail, ['y'], more));
    assert.deepEqual([model.head?.weight, model.head?.featureCount, model.head?.classes], ['fc', 3, 4]);
    assert.equal(replaceHead(model, ['a', 'b'], { seed: 1 }).graph.nodes.filter(({ op }) => op === 'Gemm').length, 1);
  });

const second: Nodes = [['Gemm', ['f', 'other'], ['v'], { transB: 1 }]];
test('two classifiers whose scores are averaged are one, on what both read', () => {
  const mean: Nodes = [
    ['Add', ['z', 'v'], ['t']],
    ['Div', ['t', 'two'], ['y']],
  ];
  const two = { two: float32([], [2]) };
  const same = imported(file([...second, ...mean], ['y'], two));
  assert.deepEqual([same.head?.weight, same.head?.others?.map(({ weight }) => weight)], ['fc', ['other']]);
  assert.equal(replaceHead(same, ['a', 'b'], { seed: 1 }).head?.featureCount, 3);
  const apart = imported(
    file(
      [
        ['GlobalMaxPool', ['a'], ['q']],
        ['Flatten', ['q'], ['g']],
        ['Gemm', ['g', 'other'], ['v'], { transB: 1 }],
        ...mean,
      ],
      ['y'],
      two,
    ),
  );
  const fresh = replaceHead(apart, ['a', 'b'], { seed: 1 });
  assert.equal(fresh.head?.featureCount, 6);
  const solved = setHead({ ...apart, labels: ['a', 'b', 'c', 'd'] }, ramp(4, 6), float32([4], [1, 2, 3, 4]));
  assert.deepEqual([solved.head?.featureCount, solved.head?.others, solved.labels?.length], [6, undefined, 4]);
});

test('of several outputs the one with a classifier is taken, of several classifiers the deepest, with a note', () => {
  assert.equal(imported(file([], ['f', 'z'])).head?.weight, 'fc');
  assert.match(
    notes[0]!,
    /takes the output z \(classifier \/part\/z\/Gemm, 4 classes\); its outputs are f, z: `modelOutput` chooses another/,
  );
  const auxiliary: Nodes = [
    ['Conv', ['a', 'w'], ['a2']],
    ['GlobalAveragePool', ['a2'], ['p2']],
    ['Flatten', ['p2'], ['f2']],
    ['Gemm', ['f2', 'other'], ['main'], { transB: 1 }],
  ];
  assert.equal(imported(file(auxiliary, ['z', 'main'])).head?.weight, 'other');
  assert.equal(imported(file(auxiliary, ['z', 'main']), { modelOutput: 'z' }).head?.weight, 'fc');
  assert.equal(imported(file(auxiliary, ['z', 'main']), { head: '/part/z/Gemm' }).head?.weight, 'fc');
  assert.throws(() => imported(file(auxiliary, ['z', 'main']), { modelOutput: 'mian' }), {
    code: 'not-found',
    option: 'modelOutput',
    message: /did you mean "main"/,
  });
});

test('a node that only a part of the output depends on is no classifier', () => {
  const residual: Nodes = [
    ['MatMul', ['f', 'square'], ['r']],
    ['Add', ['f', 'r'], ['s']],
    ['Gemm', ['s', 'other'], ['y'], { transB: 1 }],
  ];
  const onnx = file(residual, ['y'], { square: ramp(3, 3) });
  assert.throws(() => imported(onnx, { head: '/part/r/MatMul' }), {
    option: 'head',
    message:
      /on one of several ways to the output.*candidates: \/part\/y\/Gemm \(3 -> 4\), \/part\/c\/Conv \(3 -> 3\)$/,
  });
});

const encoders: Record<
  string,
  { tail: Nodes; outputs: string[]; more?: Record<string, Tensor>; features: number; says: RegExp }
> = {
  'pooled features': { tail: [], outputs: ['f'], features: 3, says: /reads 3 features of the output f;/ },
  'a map': { tail: [], outputs: ['a'], features: 3, says: /of the output a \(the mean of a 2x2 map\)/ },
  'tokens': {
    tail: [
      ['Reshape', ['a', 'shape'], ['r']],
      ['Transpose', ['r'], ['t'], { perm: [0, 2, 1] }],
    ],
    outputs: ['t'],
    more: { shape: int64([3], [0, 3, 4]) },
    features: 3,
    says: /of the output t \(the mean of 4 tokens\)/,
  },
  'a last 1x1 convolution with a ReLU': {
    tail: [
      ['Conv', ['a', 'last'], ['l']],
      ['Relu', ['l'], ['m']],
      ['ReduceMean', ['m'], ['y'], { axes: [2, 3], keepdims: 0 }],
    ],
    outputs: ['y'],
    more: { last: ramp(5, 3, 1, 1) },
    features: 5,
    says: /reads 5 features of the output y;/,
  },
  'a projection called image_embeds beside hidden states': {
    tail: [],
    outputs: ['last_hidden_state', 'image_embeds'],
    features: 4,
    says: /reads 4 features of the output image_embeds;/,
  },
};
for (const [name, { tail, outputs, more, features, says }] of Object.entries(encoders))
  test(`an encoder, ${name}: a new classifier reads its features`, () => {
    const onnx = file(tail, outputs, more);
    const model = imported(
      outputs.includes('image_embeds')
        ? {
            ...onnx,
            graph: {
              ...onnx.graph,
              nodes: onnx.graph.nodes.map((node) => ({
                ...node,
                inputs: node.inputs.map((input) => (input === 'a' ? 'last_hidden_state' : input)),
                outputs: node.outputs.map((output) =>
                  output === 'z' ? 'image_embeds' : output === 'a' ? 'last_hidden_state' : output,
                ),
              })),
            },
          }
        : onnx,
    );
    assert.ok(isEncoder(model) && model.head === undefined);
    assert.match(notes[0]!, says);
    const classifier = replaceHead(model, ['a', 'b'], { seed: 1 });
    assert.deepEqual([classifier.head?.featureCount, classifier.graph.outputs], [features, ['logits']]);
    const own = logitsOf(model, images);
    assert.deepEqual(own.dims, [2, features]);
    const read = evaluateGraph(headFeatures(classifier), { input: images, ...Object.fromEntries(model.parameters) });
    assert.deepEqual([...read['features']!.data], [...own.data]);
  });

test('a class token is taken where one was put first, any value by its name', () => {
  const tail: Nodes = [
    ['Reshape', ['a', 'shape'], ['r']],
    ['Transpose', ['r'], ['t'], { perm: [0, 2, 1] }],
    ['Shape', ['t'], ['s']],
    ['Gather', ['s', 'zero'], ['n'], { axis: 0 }],
    ['Concat', ['n', 'rest'], ['e'], { axis: 0 }],
    ['Expand', ['token', 'e'], ['k']],
    ['Concat', ['k', 't'], ['j'], { axis: 1 }],
    ['Mul', ['j', 'two'], ['y']],
  ];
  const more = {
    shape: int64([3], [0, 3, 4]),
    zero: int64([1], [0]),
    rest: int64([2], [1, 3]),
    token: ramp(1, 1, 3),
    two: float32([], [2]),
  };
  const model = imported(file(tail, ['y'], more));
  assert.match(notes[0]!, /\(the class token\)/);
  assertClose(
    numbersOf(logitsOf(model, images)),
    [0, 1].flatMap(() => numbersOf(ramp(3)).map((x) => 2 * x)),
    1e-6,
  );
  const named = imported(file([], ['z']), { features: 'f' });
  assert.deepEqual(named.graph.values.get('features')?.shape, ['N', 3]);
  assert.throws(() => imported(file([], ['z']), { features: 'g' }), { option: 'features', code: 'not-found' });
});

test('a picture is no encoder of features', () => {
  const { graph, ...rest } = file([], ['a']);
  const inputs = graph.inputs.map((input) => ({ ...input, shape: ['N', 3, 32, 32] }));
  assert.throws(() => imported({ ...rest, graph: { ...graph, inputs } }), {
    code: 'bad-model',
    message: /its output is a \[N, 3, 32, 32\]; a classifier gives one row/,
  });
});
