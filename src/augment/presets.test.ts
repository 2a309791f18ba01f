import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from '../random.js';
import { noise } from '../testing/image-files.js';
import { buildPipeline, runPipeline } from './pipeline.js';
import { evaluationPipeline, presetNames, trainPipeline } from './presets.js';

const input = { size: [32, 32], resizeShort: 36, interpolation: 'bilinear' } as const;

test('presets give the model size from any image', () => {
  for (const name of presetNames) {
    for (const size of [
      [28, 28],
      [96, 64],
    ] as const) {
      const spec = trainPipeline(
        name,
        { size, resizeShort: 100, interpolation: 'bilinear' },
        { flip: false, erase: 0.5 },
      );
      assert.ok(spec.every((step) => step.name !== 'horizontalFlip'));
      assert.deepEqual(spec.at(-1), { name: 'randomErasing', probability: 0.5 });
      for (const [width, height] of [
        [1, 1],
        [80, 60],
        [17, 300],
        [20_000, 3],
      ] as const) {
        const result = runPipeline(buildPipeline(spec), noise(2, width, height), new Random(1));
        assert.deepEqual([result.height, result.width, result.data.length], [...size, size[0] * size[1] * 3]);
      }
    }
  }
});

test("a policy's steps come after the crop of its base, erasing last", () => {
  const names = (spec: readonly { name: string }[]): string[] => spec.map(({ name }) => name);
  assert.deepEqual(
    names(trainPipeline({ name: 'x', base: 'basic', steps: [{ name: 'invert' }] }, input, { erase: 0.25 })),
    ['resizedCentre', 'padAndCrop', 'horizontalFlip', 'invert', 'randomErasing'],
  );
  assert.deepEqual(names(trainPipeline('light', { ...input, size: [64, 64] })), [
    'randomResizedCrop',
    'horizontalFlip',
  ]);
  assert.deepEqual(names(trainPipeline('strong', input)), [
    'resizedCentre',
    'horizontalFlip',
    'padAndCrop',
    'randAugment',
    'cutout',
  ]);
  assert.deepEqual(trainPipeline('none', input), evaluationPipeline(input));
  assert.throws(() => trainPipeline('baisc' as 'basic', input), {
    code: 'usage',
    message: 'no augmentation named "baisc": did you mean "basic"?',
  });
});

test('weak shifts by up to an eighth and mirrors half', () => {
  const [, flip, shift] = buildPipeline(trainPipeline('weak', input));
  const size = { width: 32, height: 32 };
  const offsets = Array.from(
    { length: 2000 },
    (_, i) => shift!.sample(new Random(1, i), size) as { left: number; top: number },
  );
  assert.equal(new Set(offsets.map(({ left }) => left)).size, 9);
  assert.deepEqual([Math.min(...offsets.map(({ top }) => top)), Math.max(...offsets.map(({ top }) => top))], [-4, 4]);
  const mirrored = Array.from({ length: 2000 }, (_, i) => flip!.sample(new Random(1, i), size)).filter(
    (draw) => draw !== null,
  ).length;
  assert.ok(Math.abs(mirrored - 1000) < 120);
});
