/** Graphs written by hand: what importing makes of each kind of node. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { OnnxAttribute, OnnxFile, OnnxNode } from '../../onnx/index.js';
import { float32, int64, numbersOf, tensor } from '../../tensor.js';
import { importFile } from '../import.js';
import { assertClose, logitsOf, ramp, run, sketch, type Sketch } from '../../testing/sketch.js';

test('older and newer opsets are brought to 17', () => {
  const x = ramp(2, 3, 2, 2);
  const data = numbersOf(x);
  const mean = (channel: number, n: number): number =>
    data.slice((n * 3 + channel) * 4, (n * 3 + channel) * 4 + 4).reduce((a, b) => a + b) / 4;
  const means = [0, 1].flatMap((n) => [0, 1, 2].map((c) => mean(c, n)));
  const axes = { axes: int64([2], [2, 3]) };
  assertClose(
    run(sketch([['ReduceMean', ['x', 'axes'], ['y'], { keepdims: 0 }]], { opset: 18, weights: axes })),
    means,
    1e-6,
  );
  assertClose(run(sketch([['ReduceMean', ['x'], ['y'], { keepdims: 0, axes: [2, 3] }]], { opset: 11 })), means, 1e-6);
  assertClose(
    run(
      sketch(
        [
          ['GlobalAveragePool', ['x'], ['p']],
          ['Squeeze', ['p'], ['y'], { axes: [2, 3] }],
        ],
        { opset: 11 },
      ),
    ),
    means,
    1e-6,
  );
  assertClose(
    run(
      sketch(
        [
          ['GlobalAveragePool', ['x'], ['p']],
          ['Clip', ['p'], ['c'], { min: 0, max: 0.1 }],
          ['Flatten', ['c'], ['y']],
        ],
        { opset: 10 },
      ),
    ),
    means.map((m) => Math.min(Math.max(m, 0), 0.1)),
    1e-6,
  );
  assertClose(
    run(
      sketch(
        [
          ['GlobalAveragePool', ['x'], ['p']],
          ['Split', ['p'], ['a', 'b'], { axis: 1, num_outputs: 2 }],
          ['Concat', ['b', 'a'], ['c'], { axis: 1 }],
          ['Flatten', ['c'], ['y']],
        ],
        { opset: 18 },
      ),
    ),
    [means[2]!, means[0]!, means[1]!, means[5]!, means[3]!, means[4]!],
    1e-6,
  );
  assertClose(
    run(
      sketch(
        [
          ['Softmax', ['x'], ['s'], { axis: 1 }],
          ['Neg', ['s'], ['n']],
          ['Flatten', ['n'], ['y']],
        ],
        { opset: 11 },
      ),
    ),
    [0, 1].flatMap((n) => {
      const e = data.slice(n * 12, n * 12 + 12).map(Math.exp);
      const total = e.reduce((a, b) => a + b);
      return e.map((v) => -v / total);
    }),
    1e-6,
  );
});

test('composite ops are written out', () => {
  const data = numbersOf(ramp(2, 3, 2, 2));
  const flat = (op: string, attributes: Record<string, OnnxAttribute> = {}, opset = 20): number[] =>
    run(
      sketch(
        [
          [op, ['x'], ['g'], attributes],
          ['Flatten', ['g'], ['y']],
        ],
        { opset },
      ),
    );
  const tanhGelu = (x: number): number => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
  assertClose(flat('Gelu', { approximate: 'tanh' }), data.map(tanhGelu), 1e-6);
  assertClose(flat('Gelu'), data.map(tanhGelu), 1e-3);
  assertClose(flat('com.microsoft.Gelu', {}, 17), flat('Gelu'), 0);
  assertClose(
    flat('HardSwish'),
    data.map((x) => x * Math.min(Math.max(x / 6 + 0.5, 0), 1)),
    1e-6,
  );
  assertClose(
    flat('Mish'),
    data.map((x) => x * Math.tanh(Math.log1p(Math.exp(x)))),
    1e-6,
  );
  assertClose(
    flat('Swish', { alpha: 2 }, 24),
    data.map((x) => x / (1 + Math.exp(-2 * x))),
    1e-6,
  );
  const rms = run(
    sketch(
      [
        ['Flatten', ['x'], ['f']],
        ['RMSNormalization', ['f', 'g'], ['y'], { epsilon: 0 }],
      ],
      { opset: 23, weights: { g: float32([12], new Array<number>(12).fill(2)) } },
    ),
  );
  assertClose(
    rms.slice(0, 12),
    data.slice(0, 12).map((x) => (2 * x) / Math.sqrt(data.slice(0, 12).reduce((a, b) => a + b * b, 0) / 12)),
    1e-5,
  );
  const group = run(
    sketch(
      [
        ['GroupNormalization', ['x', 'g', 'b'], ['n'], { num_groups: 1, epsilon: 0 }],
        ['Flatten', ['n'], ['y']],
      ],
      { opset: 21, weights: { g: float32([3], [1, 2, 3]), b: float32([3], [0, 1, 0]) } },
    ),
  );
  const first = data.slice(0, 12);
  const average = first.reduce((a, b) => a + b) / 12;
  const deviation = Math.sqrt(first.reduce((a, b) => a + (b - average) ** 2, 0) / 12);
  assertClose(
    group.slice(0, 12),
    first.map((x, i) => ([1, 2, 3][Math.floor(i / 4)]! * (x - average)) / deviation + [0, 1, 0][Math.floor(i / 4)]!),
    1e-5,
  );
});

test('layer normalisation that was written out becomes one node', () => {
  const nodes: Parameters<typeof sketch>[0] = [
    ['Flatten', ['x'], ['f']],
    ['ReduceMean', ['f'], ['mean'], { axes: [-1] }],
    ['Sub', ['f', 'mean'], ['d']],
    ['Pow', ['d', 'two'], ['p']],
    ['ReduceMean', ['p'], ['v'], { axes: [-1] }],
    ['Add', ['v', 'epsilon'], ['e']],
    ['Sqrt', ['e'], ['s']],
    ['Div', ['d', 's'], ['n']],
    ['Mul', ['n', 'ln.weight'], ['m']],
    ['Add', ['m', 'ln.bias'], ['y']],
  ];
  const weights = {
    'two': float32([], [2]),
    'epsilon': float32([], [0.5]),
    'ln.weight': ramp(12),
    'ln.bias': ramp(12),
  };
  const { model } = importFile(sketch(nodes, { opset: 14, weights }), 'ln');
  assert.deepEqual(
    model.graph.nodes.map((node) => node.op),
    ['Flatten', 'LayerNormalization'],
  );
  assert.deepEqual([...model.parameters.keys()], ['ln.weight', 'ln.bias']);
  // Two exponents, so that the pattern does not match: the same function as it was written.
  const plain = sketch(
    nodes.map((node) => (node[0] === 'Pow' ? ['Pow', ['d', 'twos'], ['p']] : node)),
    { opset: 14, weights: { ...weights, twos: float32([1, 12], new Array<number>(12).fill(2)) } },
  );
  assert.ok(importFile(plain, 'plain').model.graph.nodes.some((node) => node.op === 'Sqrt'));
  assertClose(numbersOf(logitsOf(model, ramp(2, 3, 2, 2))), run(plain), 1e-5);
});

test('a channels-last graph with a Softmax at the end: transposes cancel, logits come out', () => {
  const bias = 'StatefulPartitionedCall/model/conv/BiasAdd/ReadVariableOp:0';
  const file = sketch(
    [
      ['Transpose', ['x'], ['t'], { perm: [0, 3, 1, 2] }],
      ['Sub', ['t', 'StatefulPartitionedCall/model/mean'], ['m']],
      ['Conv', ['m', 'const_fold_opt__12', bias], ['c']],
      ['Reshape', ['c', 'target'], ['f']],
      ['Softmax', ['f'], ['y']],
    ],
    {
      inputs: [{ name: 'x', dtype: 'float32', shape: [1, 2, 2, 3] }],
      weights: {
        'StatefulPartitionedCall/model/mean': float32([1, 3, 1, 1], [1, 2, 3]),
        'const_fold_opt__12': ramp(4, 3, 2, 2),
        [bias]: ramp(4),
        'target': int64([2], [1, 4]),
      },
    },
  );
  const { model } = importFile(file, 'tf');
  assert.deepEqual(model.graph.inputs[0]!.shape, ['N', 3, 2, 2]);
  assert.deepEqual(
    model.graph.nodes.map((node) => node.op),
    ['Sub', 'Conv', 'Reshape'],
  );
  // What normalises the input is not trained.
  assert.deepEqual([...model.parameters.keys()].sort(), ['model.conv.BiasAdd', 'part.c.weight']);
  assert.deepEqual(numbersOf(logitsOf(model, ramp(3, 3, 2, 2))).length, 12);
});

test("a batch baked into reshapes and tokens becomes dynamic; where that is not certain the file's size stays", () => {
  const weights = {
    token: ramp(1, 1, 4),
    t: int64([3], [1, 4, -1]),
    u: int64([4], [1, 4, 2, 2]),
    v: int64([2], [1, 20]),
    same: int64([4], [1, 4, 2, 2]),
  };
  const file = sketch(
    [
      ['Conv', ['x', 'w'], ['k']],
      ['Expand', ['k', 'same'], ['c']],
      ['Reshape', ['c', 't'], ['r']],
      ['Transpose', ['r'], ['p'], { perm: [0, 2, 1] }],
      ['Concat', ['token', 'p'], ['j'], { axis: 1 }],
      ['Reshape', ['j', 'v'], ['y']],
    ],
    { inputs: [{ name: 'x', dtype: 'float32', shape: [1, 3, 2, 2] }], weights: { ...weights, w: ramp(4, 3, 1, 1) } },
  );
  const { model } = importFile(file, 'fixed');
  assert.deepEqual(model.graph.values.get('features')!.shape, ['N', 20]);
  assert.ok(model.parameters.has('token'));
  const both = numbersOf(logitsOf(model, ramp(2, 3, 2, 2)));
  assert.equal(both.length, 40);
  assertClose(
    both.slice(20),
    numbersOf(logitsOf(model, float32([1, 3, 2, 2], numbersOf(ramp(2, 3, 2, 2)).slice(12)))),
    0,
  );
  const notes: string[] = [];
  const stuck = sketch(
    [
      ['Transpose', ['x'], ['t'], { perm: [1, 0, 2, 3] }],
      ['Reshape', ['t', 'v'], ['r']],
      ['Reshape', ['r', 'u'], ['y']],
    ],
    {
      inputs: [{ name: 'x', dtype: 'float32', shape: [2, 3, 2, 2] }],
      weights: { v: int64([2], [6, 4]), u: int64([2], [2, 12]) },
    },
  );
  const fixed = importFile(stuck, 'stuck', { warn: (note) => notes.push(note) });
  assert.deepEqual(fixed.model.graph.inputs[0]!.shape, [2, 3, 2, 2]);
  assert.match(notes[0]!, /exported for batches of 2 only/);
});

test('of a file for images of any size it is said which size is taken', () => {
  const open = sketch([['GlobalAveragePool', ['x'], ['y']]], {
    inputs: [{ name: 'x', dtype: 'float32', shape: ['N', 3, 'H', 'W'] }],
  });
  const notes: string[] = [];
  const warn = (note: string): unknown => notes.push(note);
  assert.deepEqual(importFile(open, 'open', { normalize: 'unit', warn }).model.preprocessing.size, [224, 224]);
  assert.match(notes.join(' '), /takes images of any size, .*: 224x224 is used; `size` chooses another/);
  notes.length = 0;
  assert.deepEqual(importFile(open, 'open', { normalize: 'unit', size: 64, warn }).model.preprocessing.size, [64, 64]);
  assert.doesNotMatch(notes.join(' '), /of any size/);
});

test('what is no image classifier is refused', () => {
  const refuse = (file: OnnxFile, message: RegExp, code = 'bad-model'): void =>
    assert.throws(() => importFile(file, 'm.onnx'), { code, message });
  const input = (dtype: 'float32' | 'int64', shape: (number | string)[]): Sketch => ({
    inputs: [{ name: 'x', dtype, shape }],
  });
  refuse(
    sketch([['Identity', ['x'], ['y']]], input('int64', ['N', 128])),
    /its input x is int64 \[N, 128\], not an image/,
  );
  refuse(sketch([['Identity', ['x'], ['y']]], input('float32', ['N', 4, 28, 28])), /neither 3 channels/, 'unsupported');
  refuse(
    sketch([['Unsqueeze', ['x', 'axis'], ['y']]], { weights: { axis: int64([1], [4]) } }),
    /its output is y \[N, 3, 2, 2, 1\]; a classifier gives one row of class scores/,
  );
  refuse(
    sketch([['QLinearConv', ['x'], ['y']]]),
    /has 8-bit integers throughout \(the node .* is a QLinearConv\), which cannot be trained; take the file that is not/,
    'unsupported',
  );
  refuse(sketch([['Relu', ['x'], ['y']]], { opset: 6 }), /uses opset 6/, 'unsupported');
  refuse(sketch([['Add', ['x', 'nothing'], ['y']]]), /reads "nothing", which nothing before it makes/);
  refuse(sketch([['Conv', ['x', 'w'], ['y']]], { weights: { w: ramp(4, 5, 1, 1) } }), /input of 3 channels/);
  const two = (op: string, reads: string[], shape: (number | string)[]): OnnxFile =>
    sketch([[op, reads, ['y']]], {
      inputs: [
        { name: 'x', dtype: 'float32', shape: ['N', 3, 2, 2] },
        { name: 'z', dtype: 'float32', shape },
      ],
    });
  refuse(two('Add', ['x', 'z'], [1]), /depends on the input z beside the images/);
  refuse(two('Flatten', ['x'], ['N', 3, 2, 2]), /has 2 inputs \(x, z\), and not just one of them for images/);
  assert.deepEqual(importFile(two('Flatten', ['x'], [1]), 'm').model.graph.outputs, ['features']);
});

test('functions are inlined, If with a known condition takes its branch, sequences are unrolled', () => {
  const base = sketch(
    [
      ['local.Double', ['x'], ['d'], { times: 3 }],
      ['GlobalAveragePool', ['d'], ['p']],
      ['If', ['yes'], ['q']],
      ['Flatten', ['q'], ['y']],
    ],
    { weights: { yes: tensor('bool', [], Uint8Array.of(1)) } },
  );
  const relu: OnnxNode = {
    name: 'r',
    op: 'Relu',
    domain: '',
    overload: '',
    inputs: ['p'],
    outputs: ['o'],
    attributes: {},
  };
  const branch = (op: string): OnnxAttribute => ({
    kind: 'graph',
    graph: {
      name: op,
      inputs: [],
      outputs: [{ name: 'o', dtype: 'float32', shape: undefined }],
      nodes: [{ ...relu, op }],
      initializers: new Map(),
    },
  });
  const nodes = base.graph.nodes.map((node) =>
    node.op === 'If' ? { ...node, attributes: { then_branch: branch('Neg'), else_branch: branch('Relu') } } : node,
  );
  const file: OnnxFile = {
    ...base,
    graph: { ...base.graph, nodes },
    functions: new Map([
      [
        'local::Double::',
        {
          inputs: ['a'],
          outputs: ['b'],
          defaults: {},
          nodes: [
            {
              ...relu,
              op: 'Constant',
              inputs: [],
              outputs: ['k'],
              attributes: { value_float: { kind: 'reference', attribute: 'times' } },
            },
            { ...relu, op: 'Mul', inputs: ['a', 'k'], outputs: ['b'] },
          ],
        },
      ],
    ]),
  };
  const means = run(
    sketch([
      ['GlobalAveragePool', ['x'], ['p']],
      ['Flatten', ['p'], ['y']],
    ]),
  );
  assertClose(
    run(file),
    means.map((m) => -3 * m),
    1e-6,
  );
  const weights = { size: int64([], [1]), two: int64([], [2]) };
  const chunks = sketch(
    [
      ['GlobalAveragePool', ['x'], ['p']],
      ['SplitToSequence', ['p', 'size'], ['s'], { axis: 1 }],
      ['SequenceAt', ['s', 'two'], ['a']],
      ['Concat', ['a', 'a'], ['c'], { axis: 1 }],
      ['Flatten', ['c'], ['y']],
    ],
    { weights },
  );
  assertClose(run(chunks), [means[2]!, means[2]!, means[5]!, means[5]!], 1e-6);
});

test('float16, bfloat16 and double weights become float32; masks and settings stay constants', () => {
  const half = tensor('float16', [2, 3, 2, 2], new Uint16Array(24).fill(0x3c00));
  const file = sketch(
    [
      ['Cast', ['x'], ['h'], { to: 10 }],
      ['Conv', ['h', 'half.fp16'], ['c']],
      ['Flatten', ['c'], ['f']],
      ['Add', ['f', 'mask'], ['m']],
      ['Mul', ['m', 'block.gain'], ['g']],
      ['Pow', ['g', 'exponents'], ['y']],
    ],
    {
      weights: {
        'half.fp16': half,
        'mask': float32([2], [0, -100]),
        'block.gain': float32([], [2]),
        'exponents': float32([2], [1, 1]),
      },
    },
  );
  const { model } = importFile(file, 'half');
  assert.deepEqual([...model.parameters.keys()], ['half', 'block.gain']);
  assert.equal(model.parameters.get('half')!.dtype, 'float32');
  assert.deepEqual(
    model.graph.nodes.map((node) => node.op),
    ['Conv', 'Flatten', 'Add', 'Mul', 'Pow'],
  );
});

test('a foreign model on bytes takes x / 255', () => {
  const file = sketch(
    [
      ['Cast', ['x'], ['f'], { to: 1 }],
      ['Transpose', ['f'], ['t'], { perm: [0, 3, 1, 2] }],
      ['GlobalAveragePool', ['t'], ['p']],
      ['Flatten', ['p'], ['y']],
    ],
    { inputs: [{ name: 'x', dtype: 'uint8', shape: ['b', 2, 2, 3] }] },
  );
  const { model } = importFile(file, 'bytes');
  assert.deepEqual(
    [model.preprocessing.mean, model.preprocessing.std],
    [
      [0, 0, 0],
      [1, 1, 1],
    ],
  );
  assertClose(numbersOf(logitsOf(model, float32([1, 3, 2, 2], new Array<number>(12).fill(1)))), [255, 255, 255], 1e-4);
});
