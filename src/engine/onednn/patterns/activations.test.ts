import assert from 'node:assert/strict';
import { test } from 'node:test';
import { differentiate } from '../../../graph/autodiff.js';
import { GraphBuilder } from '../../../graph/builder.js';
import { evaluateGraph } from '../../../graph/evaluate.js';
import type { Graph, Value } from '../../../graph/graph.js';
import { Random } from '../../../random.js';
import { float32, sizeOf, type Tensor } from '../../../tensor.js';
import { allBfloat16, relativeError, runProfiled, withoutBfloat16, withoutDnnl } from '../../../testing/onednn.js';
import { findActivations } from './activations.js';
import { eltwise } from '../library/dnnl.js';

const dims = [4, 48, 64];
type Write = (op: (op: string, ...inputs: (Value | number)[]) => Value, x: Value, other: Value) => Value;

/**
 * y = f(x), and the gradient of sum(y * weights); `x` is a product with a matrix, as in a network,
 * so that its gradient is wanted and its type may be bfloat16.
 */
function graphOf(write: Write, shape: readonly number[] = dims): { graph: Graph; feeds: Record<string, Tensor> } {
  const builder = new GraphBuilder('activation'),
    random = new Random(5, 'activation');
  const feeds: Record<string, Tensor> = {};
  const input = (name: string, size: readonly number[], scale = 1): Value => {
    feeds[name] = float32(
      size,
      Float32Array.from({ length: sizeOf(size) }, () => random.normal() * scale),
    );
    return builder.input(name, 'float32', size);
  };
  const width = shape.at(-1)!,
    before = input('before', shape),
    matrix = input('matrix', [width, width], 2 / Math.sqrt(width));
  const x = builder.op('MatMul', [before, matrix]),
    other = input('other', shape),
    weights = input('weights', shape);
  const y = write((op, ...inputs) => builder.op(op, inputs), x, other);
  const loss = builder.op('ReduceSum', [builder.op('Mul', [y, weights])], { keepdims: 0 });
  const [gradient] = differentiate(builder, loss, [matrix]);
  builder.outputs({ y, gradient: gradient! });
  return { graph: builder.build(), feeds };
}

const half = Math.SQRT1_2;
const cube: Write = (op, x) => op('Mul', op('Mul', x, x), x);
/** Formulations of exporters: name, the library's algorithm, how it is written. */
const known: readonly (readonly [name: string, algorithm: number, write: Write])[] = [
  ['SiLU', eltwise.swish, (op, x) => op('Mul', x, op('Sigmoid', x))],
  ['SiLU, the gate first', eltwise.swish, (op, x) => op('Mul', op('Sigmoid', x), x)],
  ['SiLU by Exp', eltwise.swish, (op, x) => op('Div', x, op('Add', op('Exp', op('Neg', x)), 1))],
  ['quick GELU', eltwise.swish, (op, x) => op('Mul', x, op('Sigmoid', op('Mul', x, 1.702)))],
  [
    'GELU, torchscript',
    eltwise.geluErf,
    (op, x) => op('Mul', op('Mul', x, op('Add', op('Erf', op('Div', x, Math.SQRT2)), 1)), 0.5),
  ],
  [
    'GELU, half first',
    eltwise.geluErf,
    (op, x) => op('Mul', op('Mul', x, 0.5), op('Add', op('Erf', op('Mul', x, half)), 1)),
  ],
  [
    'GELU, half inside',
    eltwise.geluErf,
    (op, x) => op('Mul', x, op('Mul', op('Add', 1, op('Erf', op('Mul', half, x))), 0.5)),
  ],
  [
    'GELU by Tanh and Pow',
    eltwise.geluTanh,
    (op, x) =>
      op(
        'Mul',
        op('Mul', x, 0.5),
        op('Add', op('Tanh', op('Mul', op('Add', x, op('Mul', op('Pow', x, 3), 0.044715)), Math.sqrt(2 / Math.PI))), 1),
      ),
  ],
  [
    'GELU by Tanh and products',
    eltwise.geluTanh,
    (op, x, other) =>
      op(
        'Mul',
        op(
          'Mul',
          x,
          op(
            'Add',
            1,
            op('Tanh', op('Mul', Math.sqrt(2 / Math.PI), op('Add', x, op('Mul', 0.044715, cube(op, x, other))))),
          ),
        ),
        0.5,
      ),
  ],
  ['Mish', eltwise.mish, (op, x) => op('Mul', x, op('Tanh', op('Softplus', x)))],
  ['Mish by Log and Exp', eltwise.mish, (op, x) => op('Mul', x, op('Tanh', op('Log', op('Add', op('Exp', x), 1))))],
];

const ops = (graph: Graph, op: string): readonly Graph['nodes'][number][] =>
  graph.nodes.filter((node) => node.op === op);

for (const [name, algorithm, write] of known) {
  test(`${name} is one op forward and one backward`, () => {
    const found = findActivations(graphOf(write).graph);
    assert.deepEqual(
      [ops(found, 'Activation').length, ops(found, 'ActivationGrad').length],
      [1, 1],
      found.nodes.map(({ op }) => op).join(' '),
    );
    assert.equal(ops(found, 'Activation')[0]!.attributes['algorithm'], algorithm);
    assert.ok(
      !found.nodes.some(({ op }) => ['Sigmoid', 'Erf', 'Tanh', 'Exp', 'Softplus'].includes(op)),
      'nothing of the formulation is left',
    );
  });

  test(`${name} computes what the graph says`, { skip: withoutDnnl }, () => {
    const { graph, feeds } = graphOf(write),
      expected = evaluateGraph(graph, feeds, { float64: true }),
      { outputs, kinds } = runProfiled(graph, feeds);
    for (const output of graph.outputs)
      assert.ok(
        relativeError(outputs[output]!, expected[output]!) < 3e-6,
        `${output} off by ${relativeError(outputs[output]!, expected[output]!)}; ${kinds}`,
      );
  });

  test(`${name} in bfloat16`, { skip: withoutBfloat16 }, () => {
    const { graph, feeds } = graphOf(write),
      expected = evaluateGraph(graph, feeds, { float64: true });
    const { outputs } = runProfiled(graph, feeds, { isHalved: true, choices: allBfloat16 });
    for (const output of graph.outputs) {
      const error = relativeError(outputs[output]!, expected[output]!);
      assert.ok(error < 2 ** -7 && error > 1e-5, `${output} off by ${error}`);
    }
  });
}

/** What only looks like one, or what is not of x alone. */
const different: readonly (readonly [name: string, write: Write])[] = [
  ['a sigmoid of another slope', (op, x) => op('Mul', x, op('Sigmoid', op('Mul', x, 1.5)))],
  ['a sigmoid that is shifted', (op, x) => op('Mul', x, op('Sigmoid', op('Add', x, 0.01)))],
  ['the gate of another tensor', (op, x, other) => op('Mul', other, op('Sigmoid', x))],
  ['a sigmoid alone', (op, x) => op('Sigmoid', x)],
  ['a tanh alone', (op, x) => op('Tanh', x)],
  ['x times its tanh', (op, x) => op('Mul', x, op('Tanh', x))],
  ['GELU with another constant', (op, x) => op('Mul', op('Mul', x, 0.5), op('Add', op('Erf', op('Mul', x, 0.707)), 1))],
  ['twice GELU', (op, x) => op('Mul', x, op('Add', op('Erf', op('Mul', x, half)), 1))],
  [
    'GELU by Tanh with another cube',
    (op, x) =>
      op(
        'Mul',
        op('Mul', x, 0.5),
        op('Add', op('Tanh', op('Mul', op('Add', x, op('Mul', op('Pow', x, 3), 0.0447)), Math.sqrt(2 / Math.PI))), 1),
      ),
  ],
  ['Mish with a factor', (op, x) => op('Mul', x, op('Tanh', op('Mul', op('Softplus', x), 1.001)))],
  ['the absolute value in the gate', (op, x) => op('Mul', x, op('Sigmoid', op('Abs', x)))],
];

for (const [name, write] of different) {
  test(`${name}: left as it is`, () => {
    const { graph } = graphOf(write);
    assert.equal(findActivations(graph), graph);
  });
}

test('a small tensor is left to the loops', () => {
  const { graph } = graphOf((op, x) => op('Mul', x, op('Sigmoid', x)), [2, 8, 8]);
  assert.equal(findActivations(graph), graph);
});

/**
 * Where values between are read elsewhere, or one activation follows another, what is computed must
 * stay the same.
 */
const around: readonly (readonly [name: string, activations: number, write: Write])[] = [
  [
    'the gate is read again',
    1,
    (op, x) => {
      const gate = op('Sigmoid', x);
      return op('Add', op('Mul', x, gate), op('Mul', gate, 3));
    },
  ],
  [
    'SiLU of SiLU',
    2,
    (op, x) => {
      const once = op('Mul', x, op('Sigmoid', x));
      return op('Mul', once, op('Sigmoid', once));
    },
  ],
  [
    'SiLU and GELU of the same value',
    2,
    (op, x) =>
      op(
        'Add',
        op('Mul', x, op('Sigmoid', x)),
        op('Mul', op('Mul', x, 0.5), op('Add', op('Erf', op('Mul', x, half)), 1)),
      ),
  ],
  ['SiLU times x', 1, (op, x) => op('Mul', op('Mul', x, op('Sigmoid', x)), x)],
  ['SiLU times another', 1, (op, x, other) => op('Mul', op('Mul', x, op('Sigmoid', x)), other)],
  [
    'SiLU of a scaled value',
    1,
    (op, x) => {
      const scaled = op('Mul', x, 0.7);
      return op('Mul', scaled, op('Sigmoid', scaled));
    },
  ],
  [
    'SiLU of a sum',
    1,
    (op, x, other) => {
      const sum = op('Add', x, other);
      return op('Mul', sum, op('Sigmoid', sum));
    },
  ],
];

for (const [name, count, write] of around) {
  test(`${name}: found, and nothing else changes`, { skip: withoutDnnl }, () => {
    const { graph, feeds } = graphOf(write),
      expected = evaluateGraph(graph, feeds, { float64: true });
    assert.equal(ops(findActivations(graph), 'Activation').length, count);
    const { outputs } = runProfiled(graph, feeds);
    for (const output of graph.outputs)
      assert.ok(
        relativeError(outputs[output]!, expected[output]!) < 3e-6,
        `${output} off by ${relativeError(outputs[output]!, expected[output]!)}`,
      );
  });
}
