import { test } from 'node:test';
import { int64, numbersOf } from '../../tensor.js';
import { assertClose, ramp, run, sketch } from '../../testing/sketch.js';

test('Attention of opset 23 is softmax(scale Q K^T) V by head', () => {
  // One head of size 2 over three tokens: [N, 3, 2, 2] -> [N, 3, 4] as two heads.
  const weights = { t: int64([3], [0, 3, 4]) };
  const got = run(
    sketch(
      [
        ['Reshape', ['x', 't'], ['s']],
        ['Attention', ['s', 's', 's'], ['a'], { q_num_heads: 2, kv_num_heads: 2 }],
        ['Flatten', ['a'], ['y']],
      ],
      { opset: 23, weights },
    ),
  );
  const tokens = [0, 1, 2].map((i) => numbersOf(ramp(2, 3, 2, 2)).slice(i * 4, i * 4 + 4));
  const wanted = tokens.flatMap((q) =>
    [0, 1].flatMap((head) => {
      const part = (t: number[]): number[] => t.slice(head * 2, head * 2 + 2);
      const scores = tokens.map((k) => Math.exp((part(q)[0]! * part(k)[0]! + part(q)[1]! * part(k)[1]!) / Math.SQRT2));
      const total = scores.reduce((a, b) => a + b);
      return [0, 1].map((i) => tokens.reduce((sum, v, j) => sum + (scores[j]! / total) * part(v)[i]!, 0));
    }),
  );
  assertClose(got.slice(0, 12), wanted, 1e-6);
});
