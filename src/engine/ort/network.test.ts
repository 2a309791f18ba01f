import assert from 'node:assert/strict';
import { test } from 'node:test';
import { evaluateGraph } from '../../graph/evaluate.js';
import { networks } from '../../testing/networks.js';
import { numbersOf } from '../../tensor.js';
import { createOrtEngine } from './index.js';

for (const [name, make] of networks) {
  for (const training of [true, false]) {
    test(`${name} network, normalisation ${training ? 'trained' : 'frozen'}: every gradient, blocked and plain`, async () => {
      const { graph, feeds } = make(training);
      const expected = evaluateGraph(graph, feeds, { float64: true });
      for (const choices of [{}, { block: 0 }]) {
        const engine = await createOrtEngine({ threads: 1, choices });
        try {
          const program = await engine.compile(graph);
          const first = await program.run(feeds);
          const second = await program.run(feeds);
          for (const output of graph.outputs) {
            const [want, got] = [numbersOf(expected[output]!), numbersOf(first[output]!)];
            const size = Math.sqrt(want.reduce((sum, value) => sum + value * value, 0) / want.length) + 1e-3;
            const error = Math.sqrt(want.reduce((sum, value, i) => sum + (value - got[i]!) ** 2, 0) / want.length);
            assert.ok(error < 2e-4 * size, `${output} with ${JSON.stringify(engine.choices)}: rms error ${error}, values about ${size}`);
            assert.deepEqual(second[output]!.data, first[output]!.data, `${output}: the same feeds give the same bits`);
          }
        } finally {
          await engine.close();
        }
      }
    });
  }
}
