import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GraphBuilder } from '../../graph/builder.js';
import type { Graph } from '../../graph/graph.js';
import { encodeGraph } from '../../onnx/index.js';
import { importOnnx } from '../import.js';
import { buildModel } from '../index.js';
import { assertBearable } from './cost.js';

/** A network of one product of two matrices, for an image of that size. */
function product(side: number, inner: number): Graph {
  const builder = new GraphBuilder('network');
  const x = builder.input('input', 'float32', ['N', 3, side, inner]);
  const weight = builder.input('weight', 'float32', [inner, inner]);
  builder.outputs([builder.op('MatMul', [x, weight])]);
  return builder.build();
}

const notesOf = (graph: Graph): string[] => {
  const notes: string[] = [];
  assertBearable(graph, 'x.onnx', (message) => notes.push(message));
  return notes;
};

test('a network that computes too long on one image is refused before it runs, a slow one is named', () => {
  assert.deepEqual(notesOf(product(1000, 1000)), []);
  assert.match(
    notesOf(product(10_000, 10_000))[0]!,
    /^x\.onnx: takes 6,000 billion operations for one image, so it is slow; give it smaller images/,
  );
  assert.throws(() => notesOf(product(50_000, 20_000)), {
    code: 'unsupported',
    message:
      'x.onnx: takes 120,000 billion operations for one image, more than the 100,000 that are run; ' +
      'give it smaller images with `size`, or use another network',
  });
});

test('a file of a few bytes that computes for hours is refused when it is read', async () => {
  const builder = new GraphBuilder('network');
  const image = builder.input('input', 'float32', ['N', 3, 8, 8]);
  const row = builder.op('Reshape', [builder.op('ReduceMean', [image], { axes: [1, 2, 3] }), builder.ints([-1, 1, 1])]);
  const wide = builder.op('Expand', [row, builder.ints([1, 16_000, 16_000])]);
  let x = wide;
  for (let i = 0; i < 20; i++) x = builder.op('MatMul', [x, wide]);
  const scores = builder.op('ReduceMean', [x], { axes: [1], keepdims: 0 });
  builder.outputs({ logits: builder.op('Slice', [scores, builder.ints([0]), builder.ints([3]), builder.ints([1])]) });
  const bytes = encodeGraph(builder.build());
  assert.ok(bytes.length < 4000);
  await assert.rejects(importOnnx(bytes, { size: 8 }), {
    code: 'unsupported',
    message: /^the model: takes 163,840 billion operations for one image, more than the 100,000 that are run/,
  });
});

test('built-in networks are far from that', () => {
  for (const name of ['resnet8', 'mobilenetv2_100'])
    assert.deepEqual(notesOf(buildModel(name, { labels: ['a', 'b'], seed: 1 }).graph), []);
});
