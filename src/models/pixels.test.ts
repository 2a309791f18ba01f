import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GraphBuilder } from '../graph/builder.js';
import { evaluateGraph } from '../graph/evaluate.js';
import { tensor } from '../tensor.js';
import { normalizePixels } from './pixels.js';

test('normalizePixels: bytes to (x / 255 - mean) / std, channels first', () => {
  const builder = new GraphBuilder();
  const mean = [0.485, 0.456, 0.406] as const,
    std = [0.229, 0.224, 0.225] as const;
  const pixels = builder.input('pixels', 'uint8', ['N', 2, 2, 3]);
  builder.outputs({ input: normalizePixels(builder, pixels, { mean, std }) });
  const graph = builder.build();
  assert.deepEqual(graph.values.get('input')!.shape, ['N', 3, 2, 2]);
  assert.deepEqual(
    graph.nodes.map((node) => node.op),
    ['Cast', 'Transpose', 'Mul', 'Add', 'Identity'],
  );
  const bytes = Uint8Array.of(0, 10, 20, 30, 40, 50, 60, 70, 80, 253, 254, 255);
  const { input } = evaluateGraph(graph, { pixels: tensor('uint8', [1, 2, 2, 3], bytes) });
  for (let c = 0; c < 3; c++) {
    for (let p = 0; p < 4; p++) {
      const expected = (bytes[p * 3 + c]! / 255 - mean[c]!) / std[c]!;
      assert.ok(Math.abs(Number(input!.data[c * 4 + p]) - expected) < 1e-6);
    }
  }
});
