import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { PupilError } from '../../errors.js';
import type { OnnxFile } from '../../onnx/index.js';
import { Random } from '../../random.js';
import { mutated } from '../../testing/mutations.js';
import { int64, type Tensor } from '../../tensor.js';
import { sketch } from '../../testing/sketch.js';
import { importFile, importOnnx } from '../import.js';

const folder = fileURLToPath(new URL('../../../fixtures/onnx/', import.meta.url));
const files = readdirSync(folder).filter((file) => file.endsWith('.onnx') && file !== 'truncated.onnx');
const triesOfEach = 60;

for (const file of files)
  test(`${file} with mistakes in it is read, or refused with a reason`, async (t) => {
    const outcomes = { read: 0, refused: 0 };
    const whole = new Uint8Array(readFileSync(join(folder, file)));
    for (let i = 0; i < triesOfEach; i++) {
      const { bytes, what } = mutated(whole, new Random(i, file));
      const start = performance.now();
      try {
        await importOnnx(bytes, { name: 'damaged' });
        outcomes.read++;
      } catch (error) {
        assert.ok(error instanceof PupilError, `try ${i} (${what}): ${String((error as Error).stack)}`);
        outcomes.refused++;
        // A message of JavaScript itself is no reason.
        assert.doesNotMatch(
          error.message,
          /Cannot |cannot be converted|undefined| is not (a|iterable)/,
          `try ${i} (${what})`,
        );
      }
      assert.ok(performance.now() - start < 10_000, `try ${i} (${what}) took too long`);
    }
    t.diagnostic(`${triesOfEach} tries: ${outcomes.read} read, ${outcomes.refused} refused`);
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
    assert.throws(() => importFile(file, 'm'), {
      code: 'bad-model',
      message: /Slice has (no axis \d+ in a tensor of 1 dimensions|a step of 0)/,
    });
  }
});

/** A constant of 1000 x 1000 ones, what is made of it, and its mean added to the image. */
const grown = (nodes: Parameters<typeof sketch>[0], weights: Record<string, Tensor> = {}): OnnxFile =>
  sketch(
    [
      ['ConstantOfShape', ['side'], ['a']],
      ...nodes,
      ['ReduceMean', ['big'], ['m'], { keepdims: 0 }],
      ['Add', ['x', 'm'], ['z']],
      ['Flatten', ['z'], ['y']],
    ],
    { weights: { side: int64([2], [1000, 1000]), ...weights } },
  );

const tooMuch: readonly [name: string, file: OnnxFile][] = [
  ['Pad', grown([['Pad', ['a', 'pads'], ['big']]], { pads: int64([4], [0, 0, 99_999, 99_999]) })],
  ['Tile', grown([['Tile', ['a', 'times'], ['big']]], { times: int64([2], [1000, 1000]) })],
  ['Expand', grown([['Expand', ['a', 'to'], ['big']]], { to: int64([3], [9999, 1000, 1000]) })],
  ['Range', grown([['Range', ['from', 'to', 'step'], ['big']]], rangeOf(0, 10 ** 12, 1))],
  ['ConstantOfShape', grown([['ConstantOfShape', ['to'], ['big']]], { to: int64([2], [99_999, 99_999]) })],
  ['Concat of a value with itself', grown(doublings((before) => [before, before]))],
  ['Concat of a value with its negative', grown(doublings((before, i) => [before, `n${i}`]))],
];

function rangeOf(from: number, to: number, step: number): Record<string, Tensor> {
  return { from: int64([], [from]), to: int64([], [to]), step: int64([], [step]) };
}

/** Thirty times twice as much. */
function doublings(parts: (before: string, i: number) => string[]): [string, string[], string[], { axis: number }?][] {
  return Array.from({ length: 30 }, (_, i) => i).flatMap((i) => {
    const before = i === 0 ? 'a' : `d${i - 1}`;
    return [
      ['Neg', [before], [`n${i}`]],
      ['Concat', parts(before, i), [i === 29 ? 'big' : `d${i}`], { axis: 0 }],
    ];
  });
}

for (const [name, file] of tooMuch)
  test(`a constant that grows by ${name} is refused before memory is taken for it`, () => {
    const before = process.memoryUsage().rss;
    assert.throws(() => importFile(file, 'm'), { code: 'unsupported', message: /makes \S+ numbers for one image/ });
    const megabytes = (process.memoryUsage().rss - before) / 1e6;
    assert.ok(megabytes < 1500, `${megabytes} MB`);
  });

test('a long chain of operations on a large constant, and a large product, are left as computations', () => {
  const chain = Array.from(
    { length: 40 },
    (_, i) => [i % 2 ? 'Neg' : 'Abs', [i ? `c${i - 1}` : 'a'], [`c${i}`]] as const,
  );
  const nodes = [...chain.map(([op, ins, outs]): [string, string[], string[]] => [op, [...ins], [...outs]])];
  const { model } = importFile(grown([...nodes, ['Identity', ['c39'], ['big']]]), 'm');
  assert.ok(model.graph.nodes.length > 20);
  const product = importFile(
    sketch(
      [
        ['ConstantOfShape', ['side'], ['a']],
        ['MatMul', ['a', 'a'], ['big']],
        ['ReduceMean', ['big'], ['m'], { keepdims: 0 }],
        ['Add', ['x', 'm'], ['z']],
        ['Flatten', ['z'], ['y']],
      ],
      { weights: { side: int64([2], [2000, 2000]) } },
    ),
    'm',
  );
  assert.ok(product.model.graph.nodes.some(({ op }) => op === 'MatMul'));
});
