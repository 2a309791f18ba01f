import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import { after, test } from 'node:test';
import { createEngine, type Engine } from '../engine/index.js';
import { GraphBuilder } from '../graph/builder.js';
import { evaluateGraph } from '../graph/evaluate.js';
import { bindInputs, foldConstants, specialise } from '../graph/passes.js';
import { inline } from '../graph/inline.js';
import { decodeOnnx, encodeGraph, type OnnxAttribute, type OnnxFile, type OnnxNode } from '../onnx/index.js';
import { softmax } from '../evaluate/metrics.js';
import { Random } from '../random.js';
import { float32, int64, numbersOf, tensor, type FloatTensor, type Tensor } from '../tensor.js';
import { importFile, importOnnx } from './import.js';
import type { Model } from './model.js';
import { normalizePixels } from './pixels.js';

const folder = new URL('../../fixtures/onnx/', import.meta.url).pathname;
const expected = JSON.parse(readFileSync(`${folder}expected.json`, 'utf8')) as {
  seed: number;
  keys: string[];
  shape: number[];
  base: number;
  scale: number;
  files: Record<string, { logits?: number[][] }>;
};

let engine: Promise<Engine> | undefined;
after(async () => (await engine)?.close());

/** The images that the fixtures' outputs belong to. */
function fixtureImages(): FloatTensor {
  const random = new Random(expected.seed, ...expected.keys);
  return float32(
    expected.shape,
    Float32Array.from(
      { length: expected.shape.reduce((a, b) => a * b) },
      () => expected.base + expected.scale * (2 * random.uniform() - 1),
    ),
  );
}

const logitsOf = (model: Model, input: Tensor): Tensor =>
  evaluateGraph(model.graph, { input, ...Object.fromEntries(model.parameters) }).logits!;

function assertClose(actual: readonly number[], wanted: readonly number[], tolerance: number): void {
  assert.equal(actual.length, wanted.length);
  const worst = Math.max(...actual.map((x, i) => Math.abs(x - wanted[i]!)));
  assert.ok(worst <= tolerance, `differs by ${worst}`);
}

const files = [
  'torchscript-11',
  'torchscript-13',
  'torchscript-17',
  'torchscript-15-training',
  'dynamo-18',
  'dynamo-newest',
  'external',
];
for (const name of files) {
  test(`${name}.onnx: a model with a dynamic batch that gives the file's logits`, async () => {
    const model = await importOnnx(`${folder}${name}.onnx`);
    assert.deepEqual(model.graph.inputs[0], { name: 'input', dtype: 'float32', shape: ['N', 3, 32, 32] });
    assert.deepEqual(model.graph.values.get('logits')!.shape, ['N', 5]);
    assert.deepEqual(model.graph.outputs, ['logits']);
    assertClose(numbersOf(logitsOf(model, fixtureImages())), expected.files[`${name}.onnx`]!.logits!.flat(), 2e-5);
    assert.deepEqual(
      [...model.parameters.keys()].sort(),
      model.graph.inputs
        .slice(1)
        .map((input) => input.name)
        .sort(),
    );
    assert.deepEqual(
      [model.head?.weight, model.head?.bias, model.head?.classes],
      ['classifier.weight', 'classifier.bias', 5],
    );
    assert.equal(model.architecture, name);
    assert.equal(
      model.graph.nodes.some(
        (node) => node.op === 'Shape' || node.op === 'Identity' || node.attributes.training_mode === 1,
      ),
      false,
    );
  });
}

test('tf2onnx-13.onnx: channels last and a softmax become channels first and logits', async () => {
  const model = await importOnnx(`${folder}tf2onnx-13.onnx`, { normalize: 'symmetric' });
  assert.deepEqual(model.graph.inputs[0], { name: 'input', dtype: 'float32', shape: ['N', 3, 32, 32] });
  const { probabilities } = JSON.parse(readFileSync(`${folder}tf2onnx.json`, 'utf8')) as { probabilities: number[][] };
  const logits = numbersOf(logitsOf(model, fixtureImages()));
  assertClose([...softmax(Float32Array.from(logits), 5)], probabilities.flat(), 1e-5);
  assert.equal(model.head?.classes, 5);
});

test('what is imported, written and run by onnxruntime gives the same logits', async () => {
  for (const name of ['torchscript-13', 'dynamo-newest']) {
    const model = await importOnnx(`${folder}${name}.onnx`);
    const graph = decodeOnnx(encodeGraph(bindInputs(model.graph, model.parameters)));
    assert.equal(graph.graph.initializers.size, bindInputs(model.graph, model.parameters).constants.size);
    engine ??= createEngine('ort', { threads: 1 });
    const program = await (
      await engine
    ).compile(foldConstants(bindInputs(model.graph, model.parameters)), { inference: true });
    const { logits } = await program.run({ input: fixtureImages() });
    assertClose(numbersOf(logits!), expected.files[`${name}.onnx`]!.logits!.flat(), 2e-5);
    await program.close();
  }
});

test("weights keep PyTorch's names; made-up ones get the name of the part that reads them", async () => {
  const kept = await importOnnx(`${folder}torchscript-13.onnx`);
  assert.ok(
    ['stem.0.weight', 'stem.1.weight', 'block.4.bias', 'down.1.running_var'].every((name) => kept.parameters.has(name)),
  );
  assert.equal(kept.statistics.size, 10);
  assert.ok(kept.statistics.has('stem.1.running_mean') && !kept.statistics.has('stem.1.weight'));
  const folded = await importOnnx(`${folder}torchscript-17.onnx`);
  const names = ['stem.0', 'block.0', 'block.3', 'block.6', 'down.0', 'classifier'].flatMap((part) => [
    `${part}.weight`,
    `${part}.bias`,
  ]);
  assert.deepEqual([...folded.parameters.keys()].sort(), names.sort());
  const dynamo = await importOnnx(`${folder}dynamo-newest.onnx`);
  assert.deepEqual([...dynamo.parameters.keys()].sort(), names.sort());
  // The zeros that the unoptimised dynamo export gives convolutions as biases are no parameters.
  assert.deepEqual(
    [...(await importOnnx(`${folder}dynamo-18.onnx`)).parameters.keys()].sort(),
    [...kept.parameters.keys()].sort(),
  );
});

test('a QDQ int8 model becomes a float model', async () => {
  const model = await importOnnx(`${folder}qdq-int8.onnx`);
  assert.ok(model.parameters.has('stem.0.weight') && model.parameters.has('classifier.bias'));
  assert.equal(
    model.graph.nodes.some((node) => /Quantize/.test(node.op)),
    false,
  );
  // Rounding is gone: as close to the float model as int8 was.
  assertClose(numbersOf(logitsOf(model, fixtureImages())), expected.files['torchscript-17.onnx']!.logits!.flat(), 0.1);
});

test('files that cannot be used are refused in one line that says why', async () => {
  await assert.rejects(importOnnx(`${folder}unknown-op.onnx`), {
    code: 'unsupported',
    message: /the node mystery uses the op com\.example\.Mystery/,
  });
  await assert.rejects(importOnnx(`${folder}truncated.onnx`), { code: 'bad-model', message: /cut short/ });
  await assert.rejects(importOnnx(`${folder}nothing.onnx`), { code: 'not-found' });
  await assert.rejects(importOnnx(`${folder}make.py`), { code: 'bad-model', message: /not an ONNX file/ });
  await assert.rejects(importOnnx(`${folder}torchscript-17.onnx`, { head: 'nowhere' }), { code: 'not-found' });
  await assert.rejects(importOnnx(`${folder}torchscript-17.onnx`, { normalize: 'nonsense' }), { code: 'usage' });
});

interface Sketch {
  readonly inputs?: OnnxFile['graph']['inputs'];
  readonly output?: string;
  readonly opset?: number;
  readonly weights?: Record<string, Tensor>;
  readonly metadata?: Record<string, string>;
}

/** A file from a list of nodes `[op, inputs, outputs, attributes]`. */
function sketch(
  nodes: readonly [string, string[], string[], Record<string, OnnxAttribute>?][],
  { inputs, output = 'y', opset = 17, weights = {}, metadata = {} }: Sketch = {},
): OnnxFile {
  return {
    irVersion: 8,
    opsets: new Map([['', opset]]),
    producer: 'test',
    metadata: new Map(Object.entries(metadata)),
    functions: new Map(),
    graph: {
      name: 'sketch',
      inputs: inputs ?? [{ name: 'x', dtype: 'float32', shape: ['N', 3, 2, 2] }],
      outputs: [{ name: output, dtype: 'float32', shape: undefined }],
      nodes: nodes.map(([op, ins, outs, attributes = {}]): OnnxNode => {
        const [domain, name] = op.includes('.')
          ? [op.slice(0, op.lastIndexOf('.')), op.slice(op.lastIndexOf('.') + 1)]
          : ['', op];
        return {
          name: `/part/${outs[0]!}/${name}`,
          op: name,
          domain,
          overload: '',
          inputs: ins,
          outputs: outs,
          attributes,
        };
      }),
      initializers: new Map(Object.entries(weights)),
    },
  };
}

const ramp = (...dims: number[]): FloatTensor =>
  float32(
    dims,
    Array.from({ length: dims.reduce((a, b) => a * b, 1) }, (_, i) => Math.sin(i + 1)),
  );
const run = (file: OnnxFile, input: Tensor = ramp(2, 3, 2, 2)): number[] =>
  numbersOf(logitsOf(importFile(file, 'sketch').model, input));

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
          ['Flatten', ['s'], ['y']],
        ],
        { opset: 11 },
      ),
    ),
    [0, 1].flatMap((n) => {
      const e = data.slice(n * 12, n * 12 + 12).map(Math.exp);
      const total = e.reduce((a, b) => a + b);
      return e.map((v) => v / total);
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

test('Attention of opset 23 is softmax(scale Q K^T) V by head', () => {
  // One head of size 2 over three tokens: [N, 3, 2, 2] -> [N, 3, 4] as two heads.
  const weights = { t: int64([3], [0, 3, 4]) };
  const got = run(
    sketch(
      [
        ['Reshape', ['x', 't'], ['s']],
        ['Attention', ['s', 's', 's'], ['a'], { q_num_heads: 2, kv_num_heads: 2 }],
        ['Flatten', ['a'], ['y']],
      ],
      { opset: 23, weights },
    ),
  );
  const tokens = [0, 1, 2].map((i) => numbersOf(ramp(2, 3, 2, 2)).slice(i * 4, i * 4 + 4));
  const wanted = tokens.flatMap((q) =>
    [0, 1].flatMap((head) => {
      const part = (t: number[]): number[] => t.slice(head * 2, head * 2 + 2);
      const scores = tokens.map((k) => Math.exp((part(q)[0]! * part(k)[0]! + part(q)[1]! * part(k)[1]!) / Math.SQRT2));
      const total = scores.reduce((a, b) => a + b);
      return [0, 1].map((i) => tokens.reduce((sum, v, j) => sum + (scores[j]! / total) * part(v)[i]!, 0));
    }),
  );
  assertClose(got.slice(0, 12), wanted, 1e-6);
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
  assert.deepEqual(model.graph.values.get('logits')!.shape, ['N', 20]);
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
  refuse(sketch([['Identity', ['x'], ['y']]], input('float32', ['N', 1, 28, 28])), /1 channels instead of 3/);
  refuse(sketch([['Relu', ['x'], ['y']]]), /its output is y \[N, 3, 2, 2\], not one row of class scores/);
  refuse(sketch([['QLinearConv', ['x'], ['y']]]), /QLinearConv: this model computes in integers/, 'unsupported');
  refuse(sketch([['Relu', ['x'], ['y']]], { opset: 6 }), /uses opset 6/, 'unsupported');
  refuse(sketch([['Add', ['x', 'nothing'], ['y']]]), /reads "nothing", which nothing before it makes/);
  refuse(sketch([['Conv', ['x', 'w'], ['y']]], { weights: { w: ramp(4, 5, 1, 1) } }), /input of 3 channels/);
  refuse(
    sketch([['Identity', ['x'], ['y']]], {
      inputs: [
        { name: 'x', dtype: 'float32', shape: ['N', 3, 2, 2] },
        { name: 'z', dtype: 'float32', shape: [1] },
      ],
    }),
    /has 2 inputs \(x, z\)/,
  );
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

test('our own exported file comes back as the model it was', async () => {
  const source = await importOnnx(`${folder}torchscript-13.onnx`);
  const model: Model = {
    ...source,
    preprocessing: { ...source.preprocessing, mean: [0.1, 0.2, 0.3], std: [0.5, 0.6, 0.7], resizeShort: 40 },
  };
  const builder = new GraphBuilder('deployed');
  const pixels = builder.input('pixels', 'uint8', ['N', 32, 32, 3]);
  const { logits } = inline(builder, model.graph, { input: normalizePixels(builder, pixels, model.preprocessing) });
  builder.outputs({
    logits: logits!,
    probabilities: builder.op('Softmax', [builder.op('Mul', [logits!, 0.5])], { axis: 1 }),
  });
  const bytes = encodeGraph(foldConstants(bindInputs(builder.build(), model.parameters)), {
    metadata: {
      preprocessing: JSON.stringify(model.preprocessing),
      labels: JSON.stringify(['a', 'b', 'c', 'd', 'e']),
      provenance: JSON.stringify({ architecture: 'small', temperature: 2 }),
    },
  });
  const again = await importOnnx(bytes);
  assert.deepEqual(again.preprocessing, model.preprocessing);
  assert.deepEqual([again.labels?.length, again.temperature, again.architecture], [5, 2, 'small']);
  assert.deepEqual([...again.parameters.keys()].sort(), [...model.parameters.keys()].sort());
  assert.deepEqual(again.statistics, model.statistics);
  assert.deepEqual(
    again.graph.nodes.map((node) => node.op),
    model.graph.nodes.map((node) => node.op),
  );
  assertClose(numbersOf(logitsOf(again, fixtureImages())), numbersOf(logitsOf(model, fixtureImages())), 0);
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

const shared = new URL('../../../shared/models/', import.meta.url).pathname;
for (const [name, size] of [
  ['mobilenetv2-1.0-224', 224],
  ['mobilenetv1-0.25-128', 128],
  ['mobilenetv1-0.75-192', 192],
] as const) {
  test(
    `${name}: 1001 classes, dynamic batch`,
    { skip: existsSync(shared) ? false : 'needs ../shared/models' },
    async () => {
      const model = await importOnnx(`${shared}${name}.onnx`, { normalize: 'symmetric' });
      assert.equal(model.head?.classes, 1001);
      assert.deepEqual(model.preprocessing.size, [size, size]);
      assert.deepEqual(model.preprocessing.mean, [0.5, 0.5, 0.5]);
      assert.deepEqual(specialise(model.graph, { N: 4 }).values.get('logits')!.shape, [4, 1001]);
      const smaller = await importOnnx(`${shared}${name}.onnx`, { size: 96 });
      assert.deepEqual(smaller.graph.inputs[0]!.shape, ['N', 3, 96, 96]);
    },
  );
}
