import type { PlainAttribute } from '../onnx/model.js';
import { float32, int64, numbersOf, tensor, type Tensor } from '../tensor.js';
import { ramp, type sketch, type Sketch } from './sketch.js';

export type Nodes = Parameters<typeof sketch>[0];

export interface Row {
  /** From `x` [2, 3, 4, 4], or the tokens `t` [2, 6, 8] of the same numbers, to `o`. */
  readonly nodes: Nodes;
  readonly weights?: Sketch['weights'];
  readonly opset?: number;
  /** The same in plain ops, where onnxruntime has this op on other hardware only. */
  readonly plain?: Nodes;
}

const ints = (...values: number[]): Tensor => int64([values.length], values);
const bools = (dims: readonly number[], values: readonly number[]): Tensor =>
  tensor('bool', dims, Uint8Array.from(values));
const one = (op: string, inputs: string[], attributes: Record<string, PlainAttribute> = {}): Nodes => [
  [op, inputs, ['o'], attributes],
];
const fused = 'com.microsoft.';

const conv = { w: ramp(4, 3, 3, 3), b: ramp(4) };
const sides = { kernel_shape: [3, 3], pads: [1, 1, 1, 1] };

const fusedRows: Record<string, Row> = {
  'FusedConv with Relu': {
    nodes: one(`${fused}FusedConv`, ['x', 'w', 'b'], { ...sides, activation: 'Relu' }),
    weights: conv,
  },
  'FusedConv with LeakyRelu and a sum': {
    nodes: [
      ['Conv', ['x', 'v'], ['z']],
      [
        `${fused}FusedConv`,
        ['x', 'w', 'b', 'z'],
        ['o'],
        { ...sides, activation: 'LeakyRelu', activation_params: [0.2] },
      ],
    ],
    weights: { ...conv, v: ramp(4, 3, 1, 1) },
  },
  'FusedConv with Clip': {
    nodes: one(`${fused}FusedConv`, ['x', 'w'], { ...sides, activation: 'Clip', activation_params: [-0.51, 1.52] }),
    weights: { w: conv.w },
  },
  'FusedConv with HardSigmoid': {
    nodes: one(`${fused}FusedConv`, ['x', 'w', 'b'], {
      ...sides,
      strides: [2, 2],
      activation: 'HardSigmoid',
      activation_params: [0.15, 0.45],
    }),
    weights: conv,
  },
  'NhwcConv': {
    nodes: [
      ['Transpose', ['x'], ['l'], { perm: [0, 2, 3, 1] }],
      [`${fused}NhwcConv`, ['l', 'w', 'b'], ['o'], sides],
    ],
    plain: [
      ['Transpose', ['w'], ['v'], { perm: [0, 3, 1, 2] }],
      ['Conv', ['x', 'v', 'b'], ['c'], sides],
      ['Transpose', ['c'], ['o'], { perm: [0, 2, 3, 1] }],
    ],
    weights: { w: ramp(4, 3, 3, 3), b: ramp(4) },
  },
  'FusedGemm': {
    nodes: [
      ['Flatten', ['x'], ['f']],
      [
        `${fused}FusedGemm`,
        ['f', 'w', 'b'],
        ['o'],
        { transB: 1, alpha: 0.5, activation: 'LeakyRelu', activation_alpha: 0.3 },
      ],
    ],
    weights: { w: ramp(5, 48), b: ramp(5) },
  },
  'FusedMatMul with the right matrix transposed': {
    nodes: one(`${fused}FusedMatMul`, ['t', 'w'], { transB: 1, alpha: 0.7 }),
    weights: { w: ramp(5, 8) },
  },
  'FusedMatMul with the left matrix transposed': {
    nodes: one(`${fused}FusedMatMul`, ['t', 't'], { transA: 1 }),
  },
  'FusedMatMul with the rows of the left in front of the batch': {
    nodes: [
      ['Transpose', ['t'], ['p'], { perm: [1, 0, 2] }],
      [`${fused}FusedMatMul`, ['p', 't'], ['o'], { transBatchA: 1, transB: 1 }],
    ],
  },
  'FusedMatMul with the rows of both in front of the batch': {
    nodes: [
      ['Transpose', ['t'], ['p'], { perm: [1, 0, 2] }],
      [`${fused}FusedMatMul`, ['p', 'p'], ['o'], { transBatchA: 1, transBatchB: 1, transB: 1 }],
    ],
  },
  'GemmFastGelu': {
    nodes: one(`${fused}GemmFastGelu`, ['t', 'w', 'b']),
    plain: [
      ['MatMul', ['t', 'w'], ['m']],
      [`${fused}FastGelu`, ['m', 'b'], ['o']],
    ],
    weights: { w: ramp(8, 5), b: ramp(5) },
  },
  'SkipLayerNormalization': {
    nodes: [
      ['MatMul', ['t', 'w'], ['u']],
      [`${fused}SkipLayerNormalization`, ['t', 'u', 'g', 'b', 'c'], ['n', '', '', 's'], { epsilon: 1e-3 }],
      ['Add', ['n', 's'], ['o']],
    ],
    weights: {
      w: ramp(8, 8),
      g: ramp(8),
      b: float32([8], [1, 2, 3, 4, 5, 6, 7, 8]),
      c: float32([8], [3, 1, 4, 1, 5, 9, 2, 6]),
    },
  },
  'SkipLayerNormalization of two operands': {
    nodes: one(`${fused}SkipLayerNormalization`, ['t', 't', 'g'], {}),
    weights: { g: ramp(8) },
  },
  'SkipSimplifiedLayerNormalization': {
    nodes: one(`${fused}SkipSimplifiedLayerNormalization`, ['t', 't', 'g', 'c'], { epsilon: 1e-3 }),
    weights: { g: ramp(8), c: float32([8], [3, 1, 4, 1, 5, 9, 2, 6]) },
  },
  'SimplifiedLayerNormalization': {
    nodes: one('SimplifiedLayerNormalization', ['t', 'g'], { axis: -1, epsilon: 1e-3 }),
    weights: { g: ramp(8) },
  },
  'Gelu of onnxruntime': { nodes: one(`${fused}Gelu`, ['t']) },
  'BiasGelu': { nodes: one(`${fused}BiasGelu`, ['t', 'b']), weights: { b: ramp(8) } },
  'FastGelu': { nodes: one(`${fused}FastGelu`, ['t', 'b']), weights: { b: ramp(8) } },
  'QuickGelu': { nodes: one(`${fused}QuickGelu`, ['t'], { alpha: 1.5 }) },
  'BiasAdd': {
    nodes: one(`${fused}BiasAdd`, ['t', 'b', 't']),
    plain: [
      ['Add', ['t', 'b'], ['s']],
      ['Add', ['s', 't'], ['o']],
    ],
    weights: { b: ramp(8) },
  },
  'BiasSoftmax': {
    nodes: one(`${fused}BiasSoftmax`, ['t', 'b'], { axis: 2, is_inner_broadcast: 0 }),
    plain: [
      ['Add', ['t', 'b'], ['s']],
      ['Softmax', ['s'], ['o'], { axis: 2 }],
    ],
    weights: { b: ramp(1, 6, 8) },
  },
};

const projections: Nodes = ['q', 'k', 'v'].map((name) => ['MatMul', ['t', `w${name}`], [name]]);
const weights = {
  wq: ramp(8, 8),
  wk: float32(
    [8, 8],
    numbersOf(ramp(64, 2)).filter((_, i) => i % 2 === 0),
  ),
  wv: ramp(8, 8),
};
const heads4d: Nodes = ['q', 'k', 'v'].flatMap((name): [string, string[], string[], Record<string, number[]>?][] => [
  ['MatMul', ['t', `w${name}`], [`${name}0`]],
  ['Reshape', [`${name}0`, 'apart'], [`${name}1`]],
  ['Transpose', [`${name}1`], [name], { perm: [0, 2, 1, 3] }],
]);

const attentionRows: Record<string, Row> = {
  'Attention of onnxruntime': {
    nodes: one(`${fused}Attention`, ['t', 'w', 'b', '', '', 'a'], { num_heads: 2 }),
    weights: { w: ramp(8, 24), b: ramp(24), a: ramp(1, 2, 6, 6) },
  },
  'Attention of onnxruntime, causal, with another width of values': {
    nodes: one(`${fused}Attention`, ['t', 'w', 'b'], {
      num_heads: 2,
      unidirectional: 1,
      qkv_hidden_sizes: [8, 8, 4],
      scale: 0.3,
    }),
    weights: { w: ramp(8, 20), b: ramp(20) },
  },
  'MultiHeadAttention': {
    nodes: [...projections, ...one(`${fused}MultiHeadAttention`, ['q', 'k', 'v', 'b', '', 'a'], { num_heads: 2 })],
    weights: { ...weights, b: ramp(24), a: ramp(1, 2, 6, 6) },
  },
  'MultiHeadAttention of keys with heads apart': {
    nodes: [
      ...heads4d.slice(3),
      ['MatMul', ['t', 'wq'], ['q0']],
      ...one(`${fused}MultiHeadAttention`, ['q0', 'k', 'v'], { num_heads: 2 }),
    ],
    weights: { ...weights, apart: ints(0, 0, 2, 4) },
  },
  'MultiHeadAttention of packed queries, keys and values': {
    nodes: [
      ['MatMul', ['t', 'w'], ['m']],
      ['Reshape', ['m', 'packed'], ['p']],
      ...one(`${fused}MultiHeadAttention`, ['p'], { num_heads: 2 }),
    ],
    plain: [
      ['MatMul', ['t', 'w'], ['m']],
      ['Reshape', ['m', 'packed'], ['p']],
      ['Split', ['p'], ['a', 'b', 'c'], { axis: 3, num_outputs: 3 }],
      ...['a', 'b', 'c'].map((name): [string, string[], string[]] => ['Reshape', [name, 'flat'], [`${name}1`]]),
      ...one(`${fused}MultiHeadAttention`, ['a1', 'b1', 'c1'], { num_heads: 2 }),
    ],
    weights: { w: ramp(8, 24), packed: ints(0, 0, 2, 3, 4), flat: ints(0, 0, 8) },
  },
  'Attention, with heads together, capped': {
    nodes: [...projections, ...one('Attention', ['q', 'k', 'v'], { q_num_heads: 2, kv_num_heads: 2, softcap: 2 })],
    weights,
    opset: 23,
  },
  'Attention, with fewer key heads and a mask': {
    nodes: [
      ...heads4d.slice(0, 3),
      ['Slice', ['k2', 'start', 'end', 'axis'], ['k3']],
      ['Slice', ['v2', 'start', 'end', 'axis'], ['v3']],
      ...heads4d
        .slice(3)
        .map(([op, reads, makes, attributes]): Nodes[number] => [
          op,
          reads,
          op === 'Transpose' ? [`${makes[0]!}2`] : makes,
          attributes,
        ]),
      ...one('Attention', ['q', 'k3', 'v3', 'mask'], { scale: 0.4 }),
    ],
    weights: {
      ...weights,
      apart: ints(0, 0, 2, 4),
      start: ints(0),
      end: ints(1),
      axis: ints(1),
      mask: bools(
        [6, 6],
        Array.from({ length: 36 }, (_, i) => (i % 5 === 3 ? 0 : 1)),
      ),
    },
    opset: 23,
  },
};

const angles = (rows: number, width: number): { cos: Tensor; sin: Tensor } => {
  const all = Array.from({ length: rows * width }, (_, i) => 0.3 * (Math.floor(i / width) + 1) * (1 + (i % width)));
  return { cos: float32([rows, width], all.map(Math.cos)), sin: float32([rows, width], all.map(Math.sin)) };
};
/** Positions `p` [batch, sequence]. */
const places: Nodes = [
  ['Shape', ['t'], ['whole']],
  ['Slice', ['whole', 'begin', 'behind'], ['batch']],
  ['Concat', ['batch', 'length'], ['size'], { axis: 0 }],
  ['Expand', ['order', 'size'], ['p']],
];
const order = { begin: ints(0), behind: ints(1), length: ints(6), order: ints(3, 1, 4, 1, 5, 2) };
const apart: Nodes = [
  ['Reshape', ['t', 'heads'], ['h0']],
  ['Transpose', ['h0'], ['h'], { perm: [0, 2, 1, 3] }],
];
const heads = ints(0, 0, 2, 4);

const rotaryRows: Record<string, Row> = {
  'RotaryEmbedding with heads together': {
    nodes: [...places, ...one('RotaryEmbedding', ['t', 'cos', 'sin', 'p'], { num_heads: 2 })],
    weights: { ...angles(9, 2), ...order },
    opset: 23,
  },
  'RotaryEmbedding of neighbours, with heads apart': {
    nodes: [...places, ...apart, ...one('RotaryEmbedding', ['h', 'cos', 'sin', 'p'], { interleaved: 1 })],
    weights: { ...angles(9, 2), ...order, heads },
    opset: 23,
  },
  'RotaryEmbedding of a part of each head': {
    nodes: [...places, ...apart, ...one('RotaryEmbedding', ['h', 'cos', 'sin', 'p'], { rotary_embedding_dim: 2 })],
    weights: { ...angles(9, 1), ...order, heads },
    opset: 23,
  },
  'RotaryEmbedding of onnxruntime, from a first position on': {
    nodes: one(`${fused}RotaryEmbedding`, ['t', 'first', 'cos', 'sin']),
    weights: { ...angles(9, 2), first: ints(2) },
  },
  'RotaryEmbedding of onnxruntime, neighbours, with heads apart': {
    nodes: [...places, ...apart, ...one(`${fused}RotaryEmbedding`, ['h', 'p', 'cos', 'sin'], { interleaved: 1 })],
    weights: { ...angles(9, 2), ...order, heads },
  },
};

const otherRows: Record<string, Row> = {
  'RMSNormalization': {
    nodes: one('RMSNormalization', ['t', 'g'], { epsilon: 1e-3 }),
    weights: { g: ramp(8) },
    opset: 23,
  },
  ...Object.fromEntries(
    [1, 2].map((p) => [`LpNormalization of order ${p}`, { nodes: one('LpNormalization', ['x'], { axis: 1, p }) }]),
  ),
  ...Object.fromEntries(
    [1, 2, 3].map((p) => [
      `LpPool of order ${p}`,
      { nodes: one('LpPool', ['x'], { p, kernel_shape: [3, 2], strides: [2, 1], pads: [1, 0, 1, 1] }) },
    ]),
  ),
  'Shrink': { nodes: one('Shrink', ['t'], { lambd: 0.4, bias: 0.3 }) },
  'GlobalLpPool': { nodes: one('GlobalLpPool', ['x'], { p: 3 }) },
  'MeanVarianceNormalization': { nodes: one('MeanVarianceNormalization', ['x'], { axes: [1, 2, 3] }) },
  'LRN': { nodes: one('LRN', ['x'], { size: 3, alpha: 0.5, beta: 0.6, bias: 1.5 }) },
  'GroupNormalization, with a scale for each channel': {
    nodes: [
      ['Reshape', ['x', 'six'], ['s']],
      ...one('GroupNormalization', ['s', 'g', 'b'], { num_groups: 3, epsilon: 1e-3 }),
    ],
    weights: { six: ints(0, 6, 2, 4), g: ramp(6), b: float32([6], [1, 2, 3, 4, 5, 6]) },
    opset: 21,
  },
  'GroupNormalization, with a scale for each group': {
    nodes: [
      ['Reshape', ['x', 'six'], ['s']],
      ...one('GroupNormalization', ['s', 'g', 'b'], { num_groups: 3, epsilon: 1e-3 }),
    ],
    weights: { six: ints(0, 6, 2, 4), g: ramp(3), b: float32([3], [1, 2, 3]) },
    opset: 18,
  },
  'Col2Im of windows that overlap': {
    nodes: [
      ['Reshape', ['x', 'columns'], ['c']],
      ...one('Col2Im', ['c', 'image', 'window'], { strides: [2, 1], pads: [1, 0, 0, 0] }),
    ],
    weights: { columns: ints(0, 12, 4), image: ints(4, 3), window: ints(3, 2) },
    opset: 18,
  },
  'Col2Im with pixels behind the last window': {
    nodes: [
      ['Reshape', ['x', 'columns'], ['c']],
      ...one('Col2Im', ['c', 'image', 'window'], { strides: [3, 2], dilations: [1, 2] }),
    ],
    weights: { columns: ints(0, 8, 6), image: ints(7, 8), window: ints(2, 2) },
    opset: 18,
  },
};

const equations: Record<string, readonly [equation: string, operands: string[], weights?: Record<string, Tensor>]> = {
  'a position for each head': ['byhwc,hkc->byhwk', ['five', 'w'], { five: ints(0, 3, 2, 4, 2), w: ramp(2, 5, 2) }],
  'attention': ['bihd,bjhd->bhij', ['four', 'four'], { four: ints(0, 6, 2, 4) }],
  'a weight with two axes that are summed': ['bchw,ohw->boc', ['x', 'w'], { w: ramp(5, 4, 4) }],
  'a sum over what only one has': ['bchw,c->b', ['x', 'w'], { w: ramp(3) }],
  'an outer product': ['btc,o->btoc', ['t', 'w'], { w: ramp(3) }],
  'products element by element': ['btc,tc->bct', ['t', 'w'], { w: ramp(6, 8) }],
  'three operands': ['btc,co,ot->bo', ['t', 'w', 'v'], { w: ramp(8, 5), v: ramp(5, 6) }],
  'one operand': ['btc->cb', ['t']],
  'an ellipsis': ['...c,...c->...', ['x', 'w'], { w: ramp(1, 3, 1, 4) }],
  'no arrow': ['bij,jk', ['t', 'w'], { w: ramp(8, 3) }],
};

const einsumRows = Object.fromEntries(
  Object.entries(equations).map(([about, [equation, operands, given = {}]]): [string, Row] => {
    const shapes: string[] = operands.filter((name) => name === 'five' || name === 'four');
    return [
      `Einsum, ${about}`,
      {
        nodes: [
          ...[...new Set(shapes)].map((name): Nodes[number] => ['Reshape', ['x', name], [`${name}d`]]),
          ['Einsum', operands.map((name) => (shapes.includes(name) ? `${name}d` : name)), ['e'], { equation }],
          // A row for each image, whatever came out.
          about === 'one operand' ? ['Transpose', ['e'], ['e2'], { perm: [1, 0] }] : ['Identity', ['e'], ['e2']],
          ['Unsqueeze', ['e2', 'last'], ['o']],
        ],
        weights: { ...given, last: ints(-1) },
      },
    ];
  }),
);

const turn: Nodes[number] = ['Transpose', ['t'], ['s'], { perm: [1, 0, 2] }];
const gates = (directions: number): Record<string, Tensor> => ({
  w: ramp(directions, 12, 8),
  r: float32(
    [directions, 12, 3],
    numbersOf(ramp(directions * 36, 3)).filter((_, i) => i % 3 === 0),
  ),
  b: ramp(directions, 24),
});

const lstmRows: Record<string, Row> = {
  'LSTM in both directions': {
    nodes: [
      turn,
      ['LSTM', ['s', 'w', 'r', 'b'], ['l'], { hidden_size: 3, direction: 'bidirectional' }],
      ['Transpose', ['l'], ['o'], { perm: [2, 0, 1, 3] }],
    ],
    weights: gates(2),
  },
  'LSTM backwards from a given state, and its last one': {
    nodes: [
      turn,
      ['Slice', ['s', 'first', 'three', 'both'], ['h']],
      ['LSTM', ['s', 'w', 'r', '', '', 'h', 'h'], ['', 'lh', 'lc'], { hidden_size: 3, direction: 'reverse' }],
      ['Concat', ['lh', 'lc'], ['l'], { axis: 0 }],
      ['Transpose', ['l'], ['o'], { perm: [1, 0, 2] }],
    ],
    weights: { w: gates(1)['w']!, r: gates(1)['r']!, first: ints(0, 0), three: ints(1, 3), both: ints(0, 2) },
  },
};

const antialiasRows = Object.fromEntries(
  [
    { mode: 'linear', exclude_outside: 1, cubic_coeff_a: -0.75 },
    { mode: 'cubic', exclude_outside: 1, cubic_coeff_a: -0.5 },
    { mode: 'cubic', exclude_outside: 0, cubic_coeff_a: -0.75 },
  ].map((attributes): [string, Row] => [
    `Resize with antialias, ${Object.values(attributes).join(' ')}`,
    {
      nodes: one('Resize', ['x', '', '', 'sizes'], { ...attributes, antialias: 1, axes: [2, 3] }),
      weights: { sizes: ints(3, 6) },
    },
  ]),
);

/** Files with one op that the importer writes out in others. */
export const writtenOutRows: Readonly<Record<string, Row>> = {
  ...fusedRows,
  ...attentionRows,
  ...rotaryRows,
  ...otherRows,
  ...einsumRows,
  ...lstmRows,
  ...antialiasRows,
};
