import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { PupilError } from '../../errors.js';
import { Random } from '../../random.js';
import { mutated } from '../../testing/mutations.js';
import { importOnnx } from '../import.js';

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
