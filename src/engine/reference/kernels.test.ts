import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { differentiate } from '../../graph/autodiff.js';
import { GraphBuilder } from '../../graph/builder.js';
import { evaluateGraph } from '../../graph/evaluate.js';
import type { Graph } from '../../graph/graph.js';
import { buildRow, gradientRows, rowName } from '../../testing/gradient-rows.js';
import { nodeRows } from '../../testing/node-rows.js';
import { numbersOf, type Tensor } from '../../tensor.js';
import type { Engine } from '../engine.js';
import { createEngine } from '../index.js';

let engine: Engine;
before(async () => {
  engine = await createEngine('ort', { threads: 1 });
});
after(() => engine.close());

/** Runs the graph on onnxruntime and on the reference; every output must agree in type, shape and value. */
async function compare(graph: Graph, feeds: Readonly<Record<string, Tensor>>, tolerance: number): Promise<void> {
  const expected = evaluateGraph(graph, feeds);
  const program = await engine.compile(graph);
  try {
    const actual = await program.run(feeds);
    for (const name of graph.outputs) {
      const [a, b] = [actual[name]!, expected[name]!];
      assert.deepEqual([a.dtype, a.dims], [b.dtype, b.dims], name);
      assert.deepEqual(graph.values.get(name)!.shape.map((dim, i) => (typeof dim === 'string' ? b.dims[i] : dim)), b.dims, `inferred shape of ${name}`);
      const [left, right] = [numbersOf(a), numbersOf(b)];
      left.forEach((value, i) => {
        const close = Object.is(value, right[i]) || Math.abs(value - right[i]!) <= tolerance * Math.max(1, Math.abs(right[i]!));
        assert.ok(close, `${graph.name}: ${name}[${i}] is ${value} by onnxruntime, ${right[i]} by the reference`);
      });
    }
  } finally {
    await program.close();
  }
}

/** Rows that onnxruntime cannot run as they are. */
const elsewhere = new Set([
  'Mish', // an op of opset 18
  'Conv, one axis', // engines train windows over two axes
  'LRN, even size', // refused by its kernel
  // ONNX's own shape inference counts the last window, which begins in the end padding; the kernel leaves it out as we do
  ...['MaxPool', 'AveragePool'].map((op) => `${op}, ceil_mode and pads`), 'AveragePool, ceil_mode and pads, counting pads',
]);

for (const row of gradientRows.filter((row) => !elsewhere.has(rowName(row)))) {
  test(`onnxruntime agrees about ${rowName(row)} and its gradient`, async () => {
    const { builder, wrt, loss, outputs, feeds } = buildRow(row);
    const gradients = differentiate(builder, loss, wrt).map((value) => value!);
    builder.outputs([...new Map([...outputs, ...gradients].map((value) => [value.name, value])).values()].filter(({ name }) => !(name in feeds)));
    await compare(builder.build(), feeds, 2e-5);
  });
}

for (const { name, build } of nodeRows) {
  test(`onnxruntime agrees about ${name}`, async () => {
    const builder = new GraphBuilder(name), { outputs, feeds } = build(builder);
    builder.outputs(outputs);
    await compare(builder.build(), feeds, 2e-5);
  });
}
