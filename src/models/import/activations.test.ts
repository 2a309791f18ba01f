import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GraphBuilder } from '../../graph/builder.js';
import { evaluateGraph } from '../../graph/evaluate.js';
import type { Graph, Value } from '../../graph/graph.js';
import { Random } from '../../random.js';
import { float32, sizeOf } from '../../tensor.js';
import { fuseActivations } from './activations.js';

const dims = [2, 3, 8];
type Write = (op: (op: string, ...inputs: (Value | number)[]) => Value, x: Value, other: Value) => Value;

/** y = f(x), perhaps with another value of the same shape. */
function graphOf(write: Write): Graph {
  const builder = new GraphBuilder('activation');
  const x = builder.op('Neg', [builder.input('before', 'float32', dims)]),
    other = builder.input('other', 'float32', dims);
  builder.outputs({ y: write((op, ...inputs) => builder.op(op, inputs), x, other) });
  return builder.build();
}

const half = Math.SQRT1_2;
const cube: Write = (op, x) => op('Mul', op('Mul', x, x), x);
/** Formulations of exporters: name, the op with its attribute, how it is written. */
const known: readonly (readonly [name: string, op: string, write: Write])[] = [
  ['SiLU', 'Swish 1', (op, x) => op('Mul', x, op('Sigmoid', x))],
  ['SiLU, the gate first', 'Swish 1', (op, x) => op('Mul', op('Sigmoid', x), x)],
  ['SiLU by Exp', 'Swish 1', (op, x) => op('Div', x, op('Add', op('Exp', op('Neg', x)), 1))],
  ['quick GELU', 'Swish 1.702', (op, x) => op('Mul', x, op('Sigmoid', op('Mul', x, 1.702)))],
  [
    'GELU, torchscript',
    'Gelu none',
    (op, x) => op('Mul', op('Mul', x, op('Add', op('Erf', op('Div', x, Math.SQRT2)), 1)), 0.5),
  ],
  [
    'GELU, half first',
    'Gelu none',
    (op, x) => op('Mul', op('Mul', x, 0.5), op('Add', op('Erf', op('Mul', x, half)), 1)),
  ],
  [
    'GELU, half inside',
    'Gelu none',
    (op, x) => op('Mul', x, op('Mul', op('Add', 1, op('Erf', op('Mul', half, x))), 0.5)),
  ],
  [
    'GELU by Tanh and Pow',
    'Gelu tanh',
    (op, x) =>
      op(
        'Mul',
        op('Mul', x, 0.5),
        op('Add', op('Tanh', op('Mul', op('Add', x, op('Mul', op('Pow', x, 3), 0.044715)), Math.sqrt(2 / Math.PI))), 1),
      ),
  ],
  [
    'GELU by Tanh and products',
    'Gelu tanh',
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
  ['HardSwish by Clip', 'HardSwish', (op, x) => op('Div', op('Mul', x, op('Clip', op('Add', x, 3), 0, 6)), 6)],
  [
    'HardSwish, a sixth inside',
    'HardSwish',
    (op, x) => op('Mul', x, op('Mul', op('Clip', op('Add', x, 3), 0, 6), 1 / 6)),
  ],
  ['Mish', 'Mish', (op, x) => op('Mul', x, op('Tanh', op('Softplus', x)))],
  ['Mish by Log and Exp', 'Mish', (op, x) => op('Mul', x, op('Tanh', op('Log', op('Add', op('Exp', x), 1))))],
];

const whole = (graph: Graph): string[] =>
  graph.nodes
    .filter(({ op }) => ['Swish', 'Gelu', 'HardSwish', 'Mish'].includes(op))
    .map(({ op, attributes }) => [op, ...Object.values(attributes)].join(' '));

/** Both graphs compute the same. */
function assertSame(given: Graph, fused: Graph): void {
  const random = new Random(5, 'activation');
  const normal = (): number => 3 * random.normal();
  const feeds = Object.fromEntries(
    given.inputs.map(({ name }) => [name, float32(dims, Float32Array.from({ length: sizeOf(dims) }, normal))]),
  );
  const [expected, actual] = [given, fused].map((graph) => [
    ...evaluateGraph(graph, feeds, { float64: true })['y']!.data,
  ]);
  for (const [i, value] of expected!.entries()) assert.ok(Math.abs(Number(actual![i]) - Number(value)) < 1e-5);
}

for (const [name, op, write] of known) {
  test(`${name} is one op`, () => {
    const graph = graphOf(write),
      fused = fuseActivations(graph);
    assert.deepEqual(whole(fused), [op]);
    assert.deepEqual(
      fused.nodes.map((node) => node.op),
      ['Neg', op.split(' ')[0], 'Identity'],
      'nothing of the formulation is left',
    );
    assertSame(graph, fused);
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
  ['a HardSigmoid of another slope', (op, x) => op('Mul', x, op('HardSigmoid', x))],
  ['x clipped', (op, x) => op('Clip', x, 0, 6)],
  ['Mish with a factor', (op, x) => op('Mul', x, op('Tanh', op('Mul', op('Softplus', x), 1.001)))],
  ['the absolute value in the gate', (op, x) => op('Mul', x, op('Sigmoid', op('Abs', x)))],
];

for (const [name, write] of different) {
  test(`${name}: left as it is`, () => {
    const graph = graphOf(write);
    assert.equal(fuseActivations(graph), graph);
  });
}

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
  test(`${name}: found, and nothing else changes`, () => {
    const graph = graphOf(write),
      fused = fuseActivations(graph);
    assert.equal(whole(fused).length, count);
    assertSame(graph, fused);
  });
}
