import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { PupilError } from '../../errors.js';
import { Random } from '../../random.js';
import { mutated } from '../../testing/mutations.js';
import { int64, type Tensor } from '../../tensor.js';
import { sketch } from '../../testing/sketch.js';
import { importFile, importOnnx } from '../import.js';

const folder = fileURLToPath(new URL('../../../fixtures/onnx/', import.meta.url));
const files = readdirSync(folder).filter((file) => file.endsWith('.onnx') && file !== 'truncated.onnx');
const triesOfEach = 60;

for (const file of files)
  test(`${file} with mistakes in it is read, or refused with a reason`, async () => {
    const whole = new Uint8Array(readFileSync(join(folder, file)));
    for (let i = 0; i < triesOfEach; i++) {
      const { bytes, what } = mutated(whole, new Random(i, file));
      const start = performance.now();
      try {
        await importOnnx(bytes, { name: 'damaged' });
      } catch (error) {
        assert.ok(error instanceof PupilError, `try ${i} (${what}): ${String((error as Error).stack)}`);
        // A message of JavaScript itself is no reason.
        assert.doesNotMatch(
          error.message,
          /Cannot |cannot be converted|undefined| is not (a|iterable)/,
          `try ${i} (${what})`,
        );
      }
      assert.ok(performance.now() - start < 10_000, `try ${i} (${what}) took too long`);
    }
  });

test('a Slice of stored numbers along an axis that they lack, or by steps of 0, is refused at once', () => {
  for (const [axis, step] of [
    [2 ** 31, 1],
    [0, 0],
  ] as const) {
    const one = (x: number): Tensor => int64([1], [x]);
    const file = sketch(
      [
        ['Slice', ['table', 'from', 'to', 'axis', 'step'], ['s']],
        ['Pad', ['x', 's'], ['p']],
        ['Flatten', ['p'], ['y']],
      ],
      {
        weights: {
          table: int64([8], [0, 0, 1, 1, 0, 0, 1, 1]),
          from: one(0),
          to: one(8),
          axis: one(axis),
          step: one(step),
        },
      },
    );
    assert.throws(() => importFile(file, 'm'), { code: 'bad-model', message: /Slice: axis \d+ of 1 by steps of/ });
  }
});
