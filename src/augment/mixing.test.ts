import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from '../random.js';
import { refused } from '../testing/kit.js';
import { mixes, mixPixels, mixTargets, sampleMix, type Mix, type MixingSpec } from './mixing.js';

const size = { width: 7, height: 5 };
const draw = (spec: MixingSpec, index: number, count = 5, of = size): Mix | null =>
  sampleMix(new Random(3, 'mix', index), spec, count, of);

/** The same by definition: every pixel of a copy. */
function mixedByDefinition(pixels: Uint8Array, count: number, { width, height }: typeof size, mix: Mix): Uint8Array {
  const result = pixels.slice();
  for (let n = 0; n < count; n++) {
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        for (let c = 0; c < 3; c++) {
          const at = (image: number): number => ((image * height + y) * width + x) * 3 + c;
          const own = pixels[at(n)]!,
            other = pixels[at(mix.partners[n]!)]!;
          const { box } = mix;
          const inside = box && x >= box.left && x < box.left + box.width && y >= box.top && y < box.top + box.height;
          result[at(n)] =
            mix.kind === 'mixup' ? Math.floor(mix.lambda * own + (1 - mix.lambda) * other + 0.5) : inside ? other : own;
        }
      }
    }
  }
  return result;
}

test('labels [1, 0] and [0, 1] at 0.7 : 0.3 give [0.7, 0.3]', () => {
  const targets = Float32Array.of(1, 0, 0, 1);
  mixTargets(targets, { kind: 'mixup', lambda: 0.7, partners: [1, 0] });
  assert.deepEqual(targets, Float32Array.of(0.7, 0.3, 0.3, 0.7));
});

test('pixels and targets of any batch size are those of the definition, made in place', () => {
  for (const [index, count] of [1, 2, 3, 5, 8, 13].entries()) {
    for (const spec of [{ cutmix: 1 }, { mixup: 1 }, { cutmix: 0.5, mixup: 0.2, correct: false }]) {
      const mix = draw(spec, index, count)!;
      assert.deepEqual(JSON.parse(JSON.stringify(mix)), mix, 'plain data');
      assert.deepEqual(
        [...mix.partners].sort((a, b) => a - b),
        Array.from({ length: count }, (_, i) => i),
      );
      const random = new Random(index, 'pixels');
      const pixels = Uint8Array.from({ length: count * size.width * size.height * 3 }, () => random.integer(256));
      const expected = mixedByDefinition(pixels, count, size, mix);
      mixPixels(pixels, size, mix);
      assert.deepEqual(pixels, expected, `${mix.kind} of ${count}`);
      const targets = Float32Array.from({ length: count * 3 }, (_, i) => (Math.floor(i / 3) % 3 === i % 3 ? 1 : 0));
      const wanted = targets.map(
        (own, i) => mix.lambda * own + (1 - mix.lambda) * targets[mix.partners[Math.floor(i / 3)]! * 3 + (i % 3)]!,
      );
      mixTargets(targets, mix);
      assert.deepEqual(targets, wanted);
    }
  }
});

test('halves are rounded up, equal bytes stay, an image that is its own partner is left alone', () => {
  const pixels = Uint8Array.of(1, 7, 255, 2, 7, 0);
  mixPixels(pixels, { width: 1, height: 1 }, { kind: 'mixup', lambda: 0.5, partners: [1, 0] });
  assert.deepEqual([...pixels], [2, 7, 128, 2, 7, 128]);
  const alone = Uint8Array.of(9, 8, 7);
  mixPixels(
    alone,
    { width: 1, height: 1 },
    { kind: 'cutmix', lambda: 0, partners: [0], box: { left: 0, top: 0, width: 1, height: 1 } },
  );
  assert.deepEqual([...alone], [9, 8, 7]);
});

test('CutMix: the label has the share of the pixels that stay; the box has side sqrt(1 - lambda), clipped', () => {
  const large = { width: 100, height: 60 };
  let clipped = 0;
  for (let i = 0; i < 500; i++) {
    const { lambda, box } = draw({ cutmix: 1 }, i, 4, large)!;
    const uncorrected = draw({ cutmix: 1, correct: false }, i, 4, large)!;
    assert.deepEqual(uncorrected.box, box);
    assert.ok(box!.left >= 0 && box!.top >= 0 && box!.left + box!.width <= 100 && box!.top + box!.height <= 60);
    assert.equal(lambda, 1 - (box!.width * box!.height) / 6000);
    const side = Math.sqrt(1 - uncorrected.lambda);
    assert.ok(box!.width <= side * 100 && box!.height <= side * 60);
    const whole = 2 * Math.floor(side * 50) * 2 * Math.floor(side * 30);
    if (box!.width * box!.height < whole) clipped++;
    else assert.ok(Math.abs(lambda - uncorrected.lambda) < 0.05);
  }
  assert.ok(clipped > 250, `${clipped} of 500 boxes clipped`);
});

test('lambda has the mean and variance of Beta(alpha, alpha)', () => {
  for (const alpha of [0.2, 1, 4]) {
    const lambdas = Array.from({ length: 4000 }, (_, i) => draw({ mixup: alpha }, i, 1)!.lambda);
    const mean = lambdas.reduce((a, b) => a + b) / 4000;
    const variance = lambdas.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 4000;
    assert.ok(Math.abs(mean - 0.5) < 0.02, `alpha ${alpha}: mean ${mean}`);
    assert.ok(Math.abs(variance - 1 / (4 * (2 * alpha + 1))) < 0.01, `alpha ${alpha}: variance ${variance}`);
  }
  for (let i = 0; i < 50; i++) {
    const { lambda } = draw({ mixup: 1e-4 }, i, 1)!;
    assert.ok(lambda >= 0 && lambda <= 1);
  }
});

test('probability and switchProbability are shares of batches; nothing on is no mix', () => {
  const kinds = (spec: MixingSpec): Record<string, number> => {
    const counts: Record<string, number> = { none: 0, cutmix: 0, mixup: 0 };
    for (let i = 0; i < 1000; i++) counts[draw(spec, i)?.kind ?? 'none']!++;
    return counts;
  };
  const near = (got: number | undefined, expected: number): void =>
    assert.ok(Math.abs(got! - expected) < 50, `${got}, not about ${expected}`);
  const half = kinds({ cutmix: 1, mixup: 0.2, probability: 0.6 });
  near(half['none'], 400);
  near(half['cutmix'], 300);
  near(kinds({ cutmix: 1, mixup: 0.2, switchProbability: 0.1 })['mixup'], 900);
  assert.deepEqual(kinds({ cutmix: 1 }), { none: 0, cutmix: 1000, mixup: 0 });
  assert.equal(draw({}, 0), null);
  assert.equal(draw({ cutmix: 0, mixup: 0 }, 0), null);
  assert.equal(mixes({ cutmix: 1, probability: 0 }), false);
});

test('impossible values are refused in one line', () => {
  for (const [spec, says] of [
    [{ cutmix: -1 }, /cutmix -1: give the alpha/],
    [{ mixup: NaN }, /mixup NaN/],
    [{ cutmix: 1, probability: 2 }, /`probability` takes a number from 0 to 1, got 2/],
  ] as const) {
    assert.throws(() => mixes(spec), refused('usage', says));
  }
});
