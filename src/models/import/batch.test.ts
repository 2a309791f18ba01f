import assert from 'node:assert/strict';
import { test } from 'node:test';
import { float32, int64, numbersOf } from '../../tensor.js';
import { assertClose, logitsOf, ramp, sketch } from '../../testing/sketch.js';
import { importFile } from '../import.js';
import { fixedBatch, type Model } from '../model.js';
import { Choices } from './batch.js';

/**
 * Attention over 4 tokens of 8 features in 2 heads as PyTorch's MultiheadAttention is exported for a
 * batch of `n`: tokens first, heads beside the images, all tokens in one matrix.
 */
function attention(n: number): ReturnType<typeof sketch> {
  const heads = int64([3], [5, n * 2, 4]);
  return sketch(
    [
      ['Conv', ['x', 'patch'], ['k']],
      ['Reshape', ['k', 'rows'], ['r']],
      ['Transpose', ['r'], ['t'], { perm: [0, 2, 1] }],
      ['Concat', ['token', 't'], ['j'], { axis: 1 }],
      ['Transpose', ['j'], ['l'], { perm: [1, 0, 2] }],
      ['MatMul', ['l', 'q'], ['lq']],
      ['Reshape', ['lq', 'heads'], ['hq']],
      ['Transpose', ['hq'], ['tq'], { perm: [1, 0, 2] }],
      ['Reshape', ['l', 'heads'], ['hk']],
      ['Transpose', ['hk'], ['tk'], { perm: [1, 2, 0] }],
      ['MatMul', ['tq', 'tk'], ['s']],
      ['Softmax', ['s'], ['p'], { axis: -1 }],
      ['Transpose', ['hk'], ['v'], { perm: [1, 0, 2] }],
      ['MatMul', ['p', 'v'], ['a']],
      ['Transpose', ['a'], ['b'], { perm: [1, 0, 2] }],
      ['Reshape', ['b', 'matrix'], ['m']],
      ['Gemm', ['m', 'out'], ['o']],
      ['Reshape', ['o', 'back'], ['c']],
      ['Transpose', ['c'], ['d'], { perm: [1, 0, 2] }],
      ['Gather', ['d', 'first'], ['e'], { axis: 1 }],
      ['Gemm', ['e', 'head'], ['y']],
    ],
    {
      inputs: [{ name: 'x', dtype: 'float32', shape: [n, 3, 2, 2] }],
      weights: {
        patch: ramp(8, 3, 1, 1),
        rows: int64([3], [n, 8, 4]),
        // The exporter has repeated it.
        token: float32(
          [n, 1, 8],
          Array.from({ length: n * 8 }, (_, i) => Math.cos(i % 8)),
        ),
        q: ramp(8, 8),
        heads,
        matrix: int64([2], [n * 5, 8]),
        out: ramp(8, 8),
        back: int64([3], [5, n, 8]),
        first: int64([], [0]),
        head: ramp(8, 3),
      },
    },
  );
}

for (const n of [1, 4])
  test(`attention with a batch of ${n} inside takes any number of images, each by itself`, () => {
    const { model } = importFile(attention(n), 'attention', { normalize: 'unit' });
    assert.equal(fixedBatch(model), undefined);
    const images = numbersOf(ramp(3, 3, 2, 2));
    const together = numbersOf(logitsOf(model, float32([3, 3, 2, 2], images)));
    const alone = [0, 1, 2].flatMap((i) =>
      numbersOf(logitsOf(model, float32([1, 3, 2, 2], images.slice(12 * i, 12 * i + 12)))),
    );
    assertClose(together, alone, 1e-6);
    const { model: other } = importFile(attention(5 - n), 'attention', { normalize: 'unit' });
    assertClose(numbersOf(logitsOf(other, float32([3, 3, 2, 2], images))), together, 1e-6);
    assert.deepEqual(model.parameters.get('token')?.dims, [1, 1, 8]);
  });

test('sizes of a Resize leave the batch open, with the batch of the file among them or without', () => {
  const resized = (n: number | string, sizes: number[], axes: Record<string, number[]> = {}): Model => {
    const attributes = { mode: 'linear', coordinate_transformation_mode: 'half_pixel', ...axes };
    const file = sketch(
      [
        ['Resize', ['x', '', '', 'sizes'], ['r'], attributes],
        ['Conv', ['r', 'filter'], ['c']],
        ['Flatten', ['c'], ['y']],
      ],
      {
        opset: 18,
        inputs: [{ name: 'x', dtype: 'float32', shape: [n, 3, 2, 2] }],
        weights: { sizes: int64([sizes.length], sizes), filter: ramp(2, 3, 3, 3) },
      },
    );
    return importFile(file, 'resized', { normalize: 'unit' }).model;
  };
  const models = [
    resized(1, [1, 3, 3, 3]),
    resized(4, [4, 3, 3, 3]),
    resized(4, [3, 3], { axes: [2, 3] }),
    resized('N', [3, 3], { axes: [-2, -1] }),
  ];
  // The middle of 3 pixels from 2 is their mean, the outer ones lie beyond these and take their value.
  const logits = models.map((model) => numbersOf(logitsOf(model, ramp(5, 3, 2, 2))));
  assert.deepEqual(models.map(fixedBatch), [undefined, undefined, undefined, undefined]);
  const weights = numbersOf(ramp(2, 3, 3, 3)),
    images = numbersOf(ramp(5, 3, 2, 2));
  const line = (a: number, b: number): number[] => [a, (a + b) / 2, b];
  const wanted = [0, 1, 2, 3, 4].flatMap((image) =>
    [0, 1].map((filter) => {
      let sum = 0;
      for (let channel = 0; channel < 3; channel++) {
        const [a = 0, b = 0, c = 0, d = 0] = images.slice((image * 3 + channel) * 4);
        const left = line(a, c),
          right = line(b, d);
        const pixels = [0, 1, 2].flatMap((row) => line(left[row]!, right[row]!));
        pixels.forEach((pixel, i) => (sum += pixel * weights[(filter * 3 + channel) * 9 + i]!));
      }
      return sum;
    }),
  );
  for (const found of logits) assertClose(found, wanted, 1e-5);
});

test('what mixes the images of a batch is not freed', () => {
  for (const [op, attributes] of [
    ['Softmax', { axis: 0 }],
    ['ReduceMean', { axes: [0], keepdims: 1 }],
  ] as const) {
    const notes: string[] = [];
    const file = sketch(
      [
        ['GlobalAveragePool', ['x'], ['p']],
        ['Flatten', ['p'], ['f']],
        [op, ['f'], ['m'], attributes],
        ['Add', ['f', 'm'], ['y']],
      ],
      { inputs: [{ name: 'x', dtype: 'float32', shape: [2, 3, 2, 2] }] },
    );
    const { model } = importFile(file, 'mixed', { normalize: 'unit', warn: (note) => notes.push(note) });
    assert.equal(fixedBatch(model), 2);
    assert.match(notes.join(' '), /exported for batches of 2 only/);
  }
});

test('choices are gone through from the last to the first, those behind it anew', () => {
  const choices = new Choices();
  const seen: string[] = [];
  do seen.push(`${choices.option('a', 2)}${choices.option('b', 2)}`);
  while (choices.advance());
  assert.deepEqual(seen, ['00', '01', '10', '11']);
});
