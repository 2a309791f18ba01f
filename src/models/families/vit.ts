import type { Value } from '../../graph/graph.js';
import { channelsOf, constant, normal, type Layers } from './layers.js';

/**
 * Vision transformers (Dosovitskiy et al., "An image is worth 16x16 words", 2021) as timm's:
 * normalisation before each branch, a class token whose last state is the feature. Parameter names
 * are timm's.
 */

export interface VisionTransformer {
  /** Side of a patch, pixels. */
  readonly patch: number;
  readonly width: number;
  readonly depth: number;
  readonly heads: number;
}

/** Matrices begin normal with a standard deviation of 0.02, biases at zero. */
export const vitInitial = { weight: normal(0.02), bias: constant(0) };

export const vit =
  ({ patch, width, depth, heads }: VisionTransformer) =>
  (layers: Layers, x: Value): Value => {
    x = embed(layers, x, patch, width);
    for (let i = 0; i < depth; i++) {
      const name = `blocks.${i}`;
      x = add(
        layers,
        x,
        attention(layers, layers.layerNorm(x, `${name}.norm1`), `${name}.attn`, heads),
        `${name}.add1`,
      );
      x = add(layers, x, perceptron(layers, layers.layerNorm(x, `${name}.norm2`), `${name}.mlp`), `${name}.add2`);
    }
    const { builder } = layers;
    const [first] = builder.node(
      'Gather',
      [layers.layerNorm(x, 'norm'), builder.scalar(0, 'int64')],
      { axis: 1 },
      { name: 'token' },
    );
    return first!;
  };

const add = ({ builder }: Layers, x: Value, branch: Value, name: string): Value =>
  builder.op('Add', [x, branch], {}, { name });

/**
 * Images [N, 3, H, W] to tokens [N, 1 + H/patch W/patch, width], the class token first, each with
 * its position's embedding.
 */
function embed(layers: Layers, x: Value, patch: number, width: number): Value {
  const { builder } = layers;
  const patches = layers.conv(x, 'patch_embed.proj', width, {
    kernel: patch,
    stride: patch,
    padding: 0,
    bias: true,
    initial: 'fan-in',
  });
  const count = patches.shape.slice(2).reduce<number>((product, side) => product * (side as number), 1);
  const columns = builder.op(
    'Reshape',
    [patches, builder.ints([0, channelsOf(patches), count])],
    {},
    { name: 'patch_embed.flatten' },
  );
  const tokens = builder.op('Transpose', [columns], { perm: [0, 2, 1] }, { name: 'patch_embed.tokens' });
  const batch = builder.op('Shape', [x], { start: 0, end: 1 }, { name: 'batch' });
  const shape = builder.op('Concat', [batch, builder.ints([1, width])], { axis: 0 }, { name: 'cls_token.shape' });
  const token = builder.op(
    'Expand',
    [layers.parameter('cls_token', [1, 1, width], normal(1e-6)), shape],
    {},
    { name: 'cls_token.expand' },
  );
  const all = builder.op('Concat', [token, tokens], { axis: 1 }, { name: 'tokens' });
  return add(layers, all, layers.parameter('pos_embed', [1, count + 1, width], normal(0.02)), 'embedded');
}

/** Multi-head self-attention: softmax(Q K^T / sqrt(d)) V, d the width of a head. */
function attention(layers: Layers, x: Value, name: string, heads: number): Value {
  const { builder } = layers;
  const op = (kind: string, inputs: readonly Value[], part: string, attributes = {}): Value =>
    builder.op(kind, inputs, attributes, { name: `${name}.${part}` });
  const [, tokens, width] = x.shape as readonly [unknown, number, number];
  const size = width / heads;
  const projected = op(
    'Reshape',
    [layers.linear(x, `${name}.qkv`, 3 * width, vitInitial), builder.ints([-1, tokens, 3, heads, size])],
    'heads',
  );
  const parts = builder.node(
    'Split',
    [op('Transpose', [projected], 'parts', { perm: [2, 0, 3, 1, 4] }), builder.ints([1, 1, 1])],
    { axis: 0 },
    { name: `${name}.split`, outputs: 3 },
  );
  const [q, k, v] = parts.map((part, i) => op('Squeeze', [part, builder.ints([0])], ['q', 'k', 'v'][i]!)) as [
    Value,
    Value,
    Value,
  ];
  const scaled = builder.op('Mul', [q, 1 / Math.sqrt(size)], {}, { name: `${name}.scale` });
  const scores = op('MatMul', [scaled, op('Transpose', [k], 'transpose', { perm: [0, 1, 3, 2] })], 'scores');
  const mixed = op('MatMul', [op('Softmax', [scores], 'softmax', { axis: -1 }), v], 'mix');
  const joined = op(
    'Reshape',
    [op('Transpose', [mixed], 'tokens', { perm: [0, 2, 1, 3] }), builder.ints([-1, tokens, width])],
    'join',
  );
  return layers.linear(joined, `${name}.proj`, width, vitInitial);
}

/** Two layers with GELU between, four times as wide inside. */
function perceptron(layers: Layers, x: Value, name: string): Value {
  const width = x.shape.at(-1) as number;
  const inside = layers.gelu(layers.linear(x, `${name}.fc1`, 4 * width, vitInitial), `${name}.act`);
  return layers.linear(inside, `${name}.fc2`, width, vitInitial);
}
