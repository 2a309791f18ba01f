import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { OnnxAttribute } from '../../onnx/index.js';
import { float32, int64, numbersOf, type Tensor } from '../../tensor.js';
import { assertClose, ramp, run, sketch } from '../../testing/sketch.js';
import { importFile } from '../import.js';

type Nodes = [string, string[], string[], Record<string, OnnxAttribute>?][];

const filled = (x: number, ...dims: number[]): Tensor =>
  float32(dims, new Array<number>(dims.reduce((a, b) => a * b, 1)).fill(x));
const table = (f: (position: number, angle: number) => number[], positions = 4): Tensor => {
  const rows = Array.from({ length: positions }, (_, i) => f(i, 1).concat(f(i, 0.3)));
  return float32([1, positions, rows[0]!.length], rows.flat());
};

/** From tokens `t` [N, 4, 4] or positions `c` [N, 4, 2, 2] to `y`, and which tensors are trained. */
const cases: Record<string, { nodes: Nodes; weights: Record<string, Tensor>; trained: string[]; kept?: RegExp }> = {
  'the ones and zeros of a group normalisation, but not its own weight': {
    nodes: [
      ['Reshape', ['c', 'groups'], ['g']],
      ['InstanceNormalization', ['g', '/g/Constant_1_output_0', '/g/Constant_2_output_0'], ['i']],
      ['Reshape', ['i', 'whole'], ['r']],
      ['Mul', ['r', 'onnx::Mul_24'], ['m']],
      ['Add', ['m', 'onnx::Add_25'], ['y']],
    ],
    weights: {
      'groups': int64([3], [0, 2, -1]),
      'whole': int64([4], [0, 4, 2, 2]),
      '/g/Constant_1_output_0': filled(1, 2),
      '/g/Constant_2_output_0': filled(0, 2),
      'onnx::Mul_24': filled(1, 4, 1, 1),
      'onnx::Add_25': filled(0, 4, 1, 1),
    },
    trained: ['part.m.scale', 'part.y.bias'],
  },
  'the zeros of a layer normalisation without a bias': {
    nodes: [['LayerNormalization', ['t', 'norm.weight', 'onnx::LayerNormalization_7'], ['y'], { axis: -1 }]],
    weights: { 'norm.weight': filled(1, 4), 'onnx::LayerNormalization_7': filled(0, 4) },
    trained: ['norm.weight'],
  },
  'sines and cosines that multiply, as rotary positions do': {
    nodes: [['Mul', ['t', 'rope'], ['y']]],
    weights: { rope: ramp(1, 4, 4) },
    trained: [],
    kept: /^rope \[1, 4, 4\] \(a table that multiplies\)$/,
  },
  'sines and cosines that are added, side by side or by halves': {
    nodes: [
      ['Add', ['t', 'pairs'], ['s']],
      ['Add', ['s', 'halves'], ['y']],
    ],
    weights: {
      pairs: table((i, a) => [Math.sin(i * a), Math.cos(i * a)]),
      halves: float32(
        [1, 4, 4],
        [0, 1, 2, 3].flatMap((i) => [Math.sin(i), Math.sin(0.3 * i), Math.cos(i), Math.cos(0.3 * i)]),
      ),
    },
    trained: [],
    kept: /^pairs \[1, 4, 4\] \(sines and cosines\)$/,
  },
  'learned positions, also behind Pad, Clip and Resize': {
    nodes: [
      ['Clip', ['positions', 'low'], ['bounded']],
      ['Add', ['t', 'bounded'], ['y']],
    ],
    weights: { positions: ramp(1, 4, 4), low: float32([], [-5]) },
    trained: ['positions'],
  },
  'a scale behind Clip and Exp, of one number too': {
    nodes: [
      ['Clip', ['logit_scale', '', 'high'], ['b']],
      ['Exp', ['b'], ['e']],
      ['Mul', ['t', 'e'], ['y']],
    ],
    weights: { logit_scale: float32([], [2]), high: float32([], [4.6]) },
    trained: ['logit_scale'],
  },
  "the exponent of a pooling, not a square's": {
    nodes: [
      ['Abs', ['t'], ['a']],
      ['Pow', ['a', 'pool.p'], ['b']],
      ['Pow', ['b', 'two'], ['y']],
    ],
    weights: { 'pool.p': float32([1], [3]), 'two': float32([], [2]) },
    trained: ['pool.p'],
  },
  'one slope of a PReLU': {
    nodes: [
      ['Unsqueeze', ['act.weight', 'axis'], ['slope']],
      ['PRelu', ['t', 'slope'], ['y']],
    ],
    weights: { 'act.weight': float32([1], [0.25]), 'axis': int64([1], [0]) },
    trained: ['act.weight'],
  },
  'what is written into a weight with a name, not into a mask without': {
    nodes: [
      ['ScatterND', ['qkv.bias', 'place', 'val_9'], ['b']],
      ['ScatterND', ['val_8', 'place', 'val_9'], ['m']],
      ['Add', ['b', 'm'], ['s']],
      ['Add', ['t', 's'], ['y']],
    ],
    weights: {
      'qkv.bias': ramp(4),
      'val_8': float32([4], [0, 1, 2, 3]),
      'val_9': float32([1], [0.5]),
      'place': int64([1, 1], [2]),
    },
    trained: ['qkv.bias'],
  },
  "scale and shift of a normalisation that is written out, not its mean, as in Keras' exports": {
    nodes: [
      ['Sub', ['t', 'onnx::Sub_1'], ['d']],
      ['Mul', ['d', 'onnx::Mul_2'], ['m']],
      ['Add', ['m', 'onnx::Add_3'], ['s']],
      ['Sub', ['s', 'centre'], ['y']],
    ],
    weights: {
      'onnx::Sub_1': ramp(4),
      'onnx::Mul_2': float32([4], [1, 2, 3, 5]),
      'onnx::Add_3': float32([4], [3, 1, 2, 5]),
      'centre': float32([4], [3, 5, 2, 1]),
    },
    trained: ['part.m.scale', 'part.s.bias', 'centre'],
  },
  'a filter that blurs': {
    nodes: [['Conv', ['c', 'blur'], ['y'], { group: 4 }]],
    weights: { blur: float32([4, 1, 2, 2], new Array<number[]>(4).fill([0.1, 0.4, 0.4, 0.1]).flat()) },
    trained: [],
    kept: /^blur \[4, 1, 2, 2\] \(one filter for all channels\)$/,
  },
  'coordinates that a layer reads': {
    nodes: [
      ['MatMul', ['coordinates', 'mlp.weight'], ['b']],
      ['Add', ['t', 'b'], ['y']],
    ],
    weights: { 'coordinates': ramp(1, 4, 2), 'mlp.weight': ramp(2, 4) },
    trained: ['mlp.weight'],
  },
};
for (const [name, { nodes, weights, trained, kept }] of Object.entries(cases))
  test(`what is trained: ${name}`, () => {
    const file = sketch(
      [
        ['Conv', ['x', 'stem'], ['c']],
        ['Reshape', ['c', 'tokens'], ['f']],
        ['Transpose', ['f'], ['t'], { perm: [0, 2, 1] }],
        ...nodes,
        ['Flatten', ['y'], ['end']],
      ],
      { output: 'end', weights: { stem: ramp(4, 3, 1, 1), tokens: int64([3], [0, 4, 4]), ...weights } },
    );
    const { model, kept: constants } = importFile(file, 'm');
    assert.deepEqual([...model.parameters.keys()].slice(1), trained);
    if (kept) assert.match(constants[0] ?? '', kept);
    else assert.deepEqual(constants, []);
  });

test('fresh layers that share their ones and zeros in the file have their own; the network stays what it is', () => {
  const nodes: Nodes = [
    ['Identity', ['n.weight'], ['n.running_var']],
    ['Identity', ['n.bias'], ['n.running_mean']],
    ['Identity', ['n.weight'], ['m.weight']],
    ['BatchNormalization', ['x', 'n.weight', 'n.bias', 'n.running_mean', 'n.running_var'], ['a']],
    ['BatchNormalization', ['a', 'm.weight', 'n.bias', 'n.bias', 'm.weight'], ['b']],
    ['Flatten', ['b'], ['y']],
  ];
  const file = sketch(nodes, { weights: { 'n.weight': filled(1, 3), 'n.bias': filled(0, 3) } });
  const { model } = importFile(file, 'm');
  const trained = [...model.parameters.keys()].filter((name) => !model.statistics.has(name));
  assert.deepEqual(trained, ['n.weight', 'n.bias', 'm.weight', 'm.bias']);
  assert.deepEqual([...model.statistics].slice(0, 2), ['n.running_mean', 'n.running_var']);
  assert.equal(model.statistics.size, 4);
  assertClose(run(file), numbersOf(ramp(2, 3, 2, 2)), 1e-4);
});

test('a tensor of other numbers that two layers read is one parameter', () => {
  const file = sketch(
    [
      ['Identity', ['a.weight'], ['b.weight']],
      ['Conv', ['x', 'a.weight'], ['c']],
      ['Conv', ['c', 'b.weight'], ['d']],
      ['Flatten', ['d'], ['y']],
    ],
    { weights: { 'a.weight': ramp(3, 3, 1, 1) } },
  );
  assert.deepEqual([...importFile(file, 'm').model.parameters.keys()], ['a.weight']);
});

test('a parameter that the file calls as graphs around a model call theirs gets another name', () => {
  const file = sketch(
    [
      ['Conv', ['x', 'pixels'], ['c']],
      ['GlobalAveragePool', ['c'], ['p']],
      ['Flatten', ['p'], ['f']],
      ['Gemm', ['f', 'targets', 'constant'], ['y']],
    ],
    { weights: { pixels: ramp(4, 3, 1, 1), targets: ramp(4, 4), constant: float32([4], [1, 2, 3, 5]) } },
  );
  const { model } = importFile(file, 'm');
  assert.deepEqual([...model.parameters.keys()], ['parameter.pixels', 'parameter.targets', 'parameter.constant']);
});

test('a first layer that is a product is trained, with what it adds; what stands before it is not', () => {
  const file = sketch(
    [
      ['Mul', ['x', 'std'], ['scaled']],
      ['Flatten', ['scaled'], ['f']],
      ['MatMul', ['f', 'hidden.weight'], ['m']],
      ['Add', ['m', 'hidden.bias'], ['a']],
      ['Relu', ['a'], ['r']],
      ['MatMul', ['r', 'fc.weight'], ['y']],
    ],
    {
      weights: {
        'std': ramp(3, 1, 1),
        'hidden.weight': ramp(12, 5),
        'hidden.bias': ramp(5),
        'fc.weight': ramp(5, 3),
      },
    },
  );
  const { model } = importFile(file, 'm');
  assert.deepEqual([...model.parameters.keys()], ['hidden.weight', 'hidden.bias', 'fc.weight']);
});

test('a cosine transform of the image and the normalisation behind it are not trained', () => {
  const half = Math.SQRT1_2;
  const file = sketch(
    [
      ['Transpose', ['dct'], ['turned'], { perm: [1, 0] }],
      ['MatMul', ['x', 'turned'], ['rows']],
      ['MatMul', ['dct', 'rows'], ['both']],
      ['Sqrt', ['var'], ['deviation']],
      ['Sub', ['both', 'mean'], ['moved']],
      ['Div', ['moved', 'deviation'], ['n']],
      ['Conv', ['n', 'stem.weight'], ['c']],
      ['Flatten', ['c'], ['f']],
      ['Gemm', ['f', 'fc.weight'], ['y'], { transB: 1 }],
    ],
    {
      weights: {
        'dct': float32([2, 2], [half, half, half, -half]),
        'mean': ramp(3, 2, 2),
        'var': filled(2, 3, 2, 2),
        'stem.weight': ramp(4, 3, 2, 2),
        'fc.weight': ramp(3, 4),
      },
    },
  );
  const { model, kept } = importFile(file, 'm');
  assert.deepEqual([...model.parameters.keys()], ['stem.weight', 'fc.weight']);
  assert.deepEqual(kept, ['dct [2, 2] (an orthonormal table before the first layer)']);
});
