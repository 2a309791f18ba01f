import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { Engine } from '../engine/engine.js';
import { createOrtEngine } from '../engine/ort/index.js';
import { compare, fixtureNames, readFixture } from '../testing/compatibility.js';

let engine: Engine | undefined;
after(() => engine?.close());

/** Ours may be this many times as far from float64 as PyTorch's float32. */
const factor = 3;

for (const name of fixtureNames()) {
  const fixture = readFixture(name);
  for (const graph of fixture.graphs) {
    for (const mode of ['trained', 'frozen'] as const) {
      test(`${fixture.family}, ${graph.exporter} opset ${graph.opset}, batch normalisation ${mode}: updates equal PyTorch's`, async () => {
        engine ??= await createOrtEngine({ threads: 2 });
        const result = await compare(engine, fixture, graph, mode);
        const [loss, expected] = result.losses;
        assert.ok(Math.abs(loss - expected) < 1e-4 * Math.max(1, expected), `loss ${loss}, PyTorch ${expected}`);
        assert.ok(result.max <= factor * result.float32.max,
          `${result.parameter}: off by ${result.max.toExponential(2)}, PyTorch in float32 by ${result.float32.max.toExponential(2)}`);
        assert.ok((result.statistics ?? 0) < 1e-4, `running statistics off by ${result.statistics}`);
      });
    }
  }
}
