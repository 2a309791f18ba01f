import assert from 'node:assert/strict';
import { differentiate } from '../graph/autodiff.js';
import type { GraphBuilder } from '../graph/builder.js';
import { evaluateGraph } from '../graph/evaluate.js';
import type { Value } from '../graph/graph.js';
import { tensor, type Tensor } from '../tensor.js';

interface Differentiable {
  readonly builder: GraphBuilder;
  /** What to differentiate by: inputs of the graph. */
  readonly wrt: readonly Value[];
  /** A scalar. */
  readonly loss: Value;
  readonly feeds: Readonly<Record<string, Tensor>>;
}

/**
 * Holds gradients against central differences, (f(x + h) - f(x - h)) / 2h, in double precision: of
 * every element, or of each `every`th. `name` is what messages call the graph.
 */
export function assertGradients({ builder, wrt, loss, feeds }: Differentiable, name: string, every = 1): void {
  builder.outputs([loss]);
  const forward = builder.build();
  const results = differentiate(builder, loss, wrt);
  builder.outputs(
    results.map((value, i) => {
      assert.ok(value, `${name}: no gradient of input ${i}`);
      assert.deepEqual(value.shape, wrt[i]!.shape, `${name}: gradient shape of ${wrt[i]!.name}`);
      return value;
    }),
  );
  const doubles: Record<string, Tensor> = Object.fromEntries(
    Object.entries(feeds).map(([key, t]) => [
      key,
      tensor('float64', t.dims, Float64Array.from(t.data as Float32Array)),
    ]),
  );
  const computed = evaluateGraph(builder.build(), doubles, { float64: true });
  const lossOf = (): number => evaluateGraph(forward, doubles, { float64: true })[loss.name]!.data[0] as number;
  wrt.forEach((input, index) => {
    const gradient = computed[results[index]!.name]!,
      data = doubles[input.name]!.data as Float64Array;
    for (let i = 0; i < data.length; i += every) {
      const h = 1e-5,
        x = data[i]!;
      data[i] = x + h;
      const up = lossOf();
      data[i] = x - h;
      const expected = (up - lossOf()) / (2 * h);
      data[i] = x;
      const actual = gradient.data[i] as number;
      assert.ok(
        Math.abs(actual - expected) <= 1e-6 * Math.max(1, Math.abs(expected)),
        `${name}: d loss / d ${input.name}[${i}] is ${expected} by differences, ${actual} by the rule`,
      );
    }
  });
}
