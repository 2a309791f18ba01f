import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Engine } from '../engine/engine.js';
import { differentiate } from '../graph/autodiff.js';
import { GraphBuilder } from '../graph/builder.js';
import { evaluateGraph } from '../graph/evaluate.js';
import type { Graph } from '../graph/graph.js';
import { numbersOf, type Tensor } from '../tensor.js';
import { gradientRows } from './gradient-rows.js';
import { nodeRows } from './node-rows.js';
import { buildRow, rowName } from './row-graph.js';

/**
 * Runs the graph on an engine and on the reference; every output must agree in type, shape and
 * value.
 */
export async function compareWithReference(
  engine: Engine,
  graph: Graph,
  feeds: Readonly<Record<string, Tensor>>,
  tolerance: number,
): Promise<void> {
  const expected = evaluateGraph(graph, feeds);
  const program = await engine.compile(graph);
  try {
    const actual = await program.run(feeds);
    for (const name of graph.outputs) {
      const [a, b] = [actual[name]!, expected[name]!];
      assert.deepEqual([a.dtype, a.dims], [b.dtype, b.dims], name);
      assert.deepEqual(
        graph.values.get(name)!.shape.map((dim, i) => (typeof dim === 'string' ? b.dims[i] : dim)),
        b.dims,
        `inferred shape of ${name}`,
      );
      const [left, right] = [numbersOf(a), numbersOf(b)];
      left.forEach((value, i) => {
        const close =
          Object.is(value, right[i]) || Math.abs(value - right[i]!) <= tolerance * Math.max(1, Math.abs(right[i]!));
        assert.ok(close, `${graph.name}: ${name}[${i}] is ${value} by ${engine.name}, ${right[i]} by the reference`);
      });
    }
  } finally {
    await program.close();
  }
}

export interface RowOptions {
  /** Rows to leave out. */
  readonly elsewhere?: ReadonlySet<string>;
  /** The only rows to take. */
  readonly only?: ReadonlySet<string>;
  /** Largest difference, relative where the value is above 1 (default 2e-5). */
  readonly tolerance?: number;
  readonly skip?: string | false;
}

/** Declares a test for every op of the tables, with its gradient. */
export function testRows(start: () => Promise<Engine>, options: RowOptions = {}): void {
  const { elsewhere = new Set<string>(), only, tolerance = 2e-5, skip = false } = options;
  const wanted = (name: string): boolean => !elsewhere.has(name) && (only?.has(name) ?? true);
  const gradients = gradientRows.filter((row) => wanted(rowName(row))),
    nodes = nodeRows.filter(({ name }) => wanted(name));
  if (skip) {
    test(`agrees about ${gradients.length + nodes.length} rows of ops and gradients`, { skip }, () => {});
    return;
  }
  let engine: Engine;
  before(async () => {
    engine = await start();
  });
  after(() => engine?.close());
  for (const row of gradients) {
    test(`agrees about ${rowName(row)} and its gradient`, async () => {
      const { builder, wrt, loss, outputs, feeds } = buildRow(row);
      const gradients = differentiate(builder, loss, wrt).map((value) => value!);
      builder.outputs(
        [...new Map([...outputs, ...gradients].map((value) => [value.name, value])).values()].filter(
          ({ name }) => !(name in feeds),
        ),
      );
      await compareWithReference(engine, builder.build(), feeds, tolerance);
    });
  }
  for (const { name, build } of nodes) {
    test(`agrees about ${name}`, async () => {
      const builder = new GraphBuilder(name),
        { outputs, feeds } = build(builder);
      builder.outputs(outputs);
      await compareWithReference(engine, builder.build(), feeds, tolerance);
    });
  }
}
