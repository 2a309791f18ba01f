import assert from 'node:assert/strict';
import { test } from 'node:test';
import { evaluateGraph } from '../../../graph/evaluate.js';
import type { Graph } from '../../../graph/graph.js';
import { float32, sizeOf } from '../../../tensor.js';
import { createEmitter, type Emitter } from '../emitter.js';
import type { Sized } from '../sized.js';
import { reorder } from './reorder.js';

/** The graph that moves the axes of x. */
function graphOf(shape: readonly number[], move: (e: Emitter, x: Sized) => Sized): Graph {
  const x: Sized = { name: 'x', dtype: 'float32', shape };
  const e = createEmitter({
    ...{ name: 'moved', inputs: [x], outputs: [], nodes: [] },
    constants: new Map(),
    values: new Map([['x', x]]),
  });
  const y = move(e, x);
  return e.build([x], [y.name]);
}

function resultOf(graph: Graph, shape: readonly number[]): { dims: readonly number[]; data: ArrayLike<unknown> } {
  const x = float32(
    shape,
    Float32Array.from({ length: sizeOf(shape) }, (_, i) => i),
  );
  return Object.values(evaluateGraph(graph, { x }))[0]!;
}

function* permutations(of: readonly number[]): Generator<readonly number[]> {
  if (of.length === 0) yield [];
  for (const first of of) for (const rest of permutations(of.filter((axis) => axis !== first))) yield [first, ...rest];
}

test('any transposition that moves the last axis becomes few of matrices, to the same numbers', () => {
  const shape = [3, 8, 1, 4, 45];
  for (const perm of permutations([0, 1, 2, 3, 4])) {
    const graph = graphOf(shape, (e, x) => reorder(e, x, perm)),
      wanted = graphOf(shape, (e, x) => e.transpose(x, perm));
    const [found, right] = [resultOf(graph, shape), resultOf(wanted, shape)];
    assert.deepEqual(found.dims, right.dims, perm.join());
    assert.deepEqual(found.data, right.data, perm.join());
    if (perm.at(-1) === 4) continue;
    const transposed = graph.nodes.filter(({ op }) => op === 'Transpose');
    assert.ok(transposed.length <= 3, perm.join());
    for (const { attributes } of transposed) assert.deepEqual(attributes['perm'], [0, 2, 1], perm.join());
  }
});

test('small tensors and images in blocks are moved at once', () => {
  const opsOf = (shape: readonly number[], perm: readonly number[]): string[] =>
    graphOf(shape, (e, x) => reorder(e, x, perm)).nodes.map(({ op }) => op);
  assert.deepEqual(opsOf([4, 4, 4, 4], [3, 1, 0, 2]), ['Transpose']);
  assert.deepEqual(opsOf([16, 16, 16, 16], [2, 0, 1, 3]), ['Transpose']);
});
