import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from '../../random.js';
import { noise } from '../../testing/image-files.js';
import { opNames, ops, type OpName } from '../ops.js';
import { buildPipeline, type PipelineSpec, type TransformSpec } from '../pipeline.js';
import type { Transform } from '../transform.js';
import { applyMixture, type MixDraw } from './aug-mix.js';
import type { Drawn } from './draw.js';
import { applySign, fillOf, largest, magnitude, opsOf, scaleNames } from './scales.js';
import { chooseOps, parseTimm } from './timm.js';

const size = { width: 200, height: 100 };
const image = noise(5, 33, 21);
const make = <P = readonly Drawn[]>(step: TransformSpec): Transform<P> => buildPipeline([step])[0] as Transform<P>;
const draws = <P = readonly Drawn[]>(step: TransformSpec, count: number): P[] => {
  const transform = make<P>(step);
  return Array.from({ length: count }, (_, i) => transform.sample(new Random(1, 'policies', i), size));
};
/** Within five standard deviations of what `count` draws of probability `p` give. */
const likely = (found: number, count: number, p: number, where: string): void => {
  assert.ok(
    Math.abs(found - count * p) <= 5 * Math.sqrt(count * p * (1 - p)),
    `${where}: ${found} of ${count}, expected a share of ${p}`,
  );
};

const all: PipelineSpec = [
  { name: 'randAugment' },
  { name: 'randAugment', n: 3, m: 10, scale: 'timm-increasing', sampling: 'bilinear' },
  { name: 'randAugment', m: 27, scale: 'paper', fill: [1, 2, 3] },
  { name: 'randAugment', n: 4, ops: ['rotate', 'SHEAR-X', 'hue', 'blur', 'grayscale'] },
  { name: 'autoAugment' },
  { name: 'autoAugment', policy: 'svhn' },
  { name: 'trivialAugment' },
  { name: 'augMix' },
  { name: 'augMix', severity: 10, width: 1, depth: 4, alpha: 0.2, allOps: false },
  { name: 'timmAugment', config: 'rand-m9-n2-mstd0.5-inc1' },
  { name: 'timmAugment', config: 'augmix-m3-w3' },
  { name: 'timmAugment', config: 'original-mstd0.5' },
  { name: 'timmAugment', config: '3a' },
  { name: 'timmAugment', config: 'rand-m7-mstd0.5-n3-p0.5-w0' },
  {
    name: 'randomChoice',
    policies: [
      [{ op: 'rotate', magnitude: 9 }],
      [{ op: 'equalize' }, { op: 'Solarize-Add', magnitude: 4, probability: 0.5 }],
    ],
  },
];

test('draws are JSON, repeat for a seed, differ between images, and applying them is pure', () => {
  const before = Uint8Array.from(image.data);
  for (const step of all) {
    const transform = make<unknown>(step);
    const texts = new Set<string>();
    for (let i = 0; i < 40; i++) {
      const drawn = transform.sample(new Random(3, i), image);
      assert.deepEqual(transform.sample(new Random(3, i), image), drawn);
      const replayed = JSON.parse(JSON.stringify(drawn)) as unknown;
      assert.deepEqual(replayed, drawn, JSON.stringify(step));
      const result = transform.apply(image, drawn);
      assert.deepEqual(transform.apply(image, replayed).data, result.data);
      assert.deepEqual([result.width, result.height, result.data.length], [33, 21, 33 * 21 * 3]);
      assert.equal(typeof transform.describe!(drawn), 'string');
      texts.add(JSON.stringify(drawn));
    }
    assert.ok(texts.size > 2, `${JSON.stringify(step)}: ${texts.size} different draws`);
    assert.deepEqual(image.data, before, step.name);
  }
});

test('RandAugment draws every op about equally often, its sign evenly, n per image with replacement', () => {
  const count = 6000;
  for (const scale of scaleNames) {
    const drawn = draws({ name: 'randAugment', n: 2, m: 7, scale }, count);
    assert.ok(drawn.every((list) => list.length === 2));
    likely(
      drawn.filter(([a, b]) => a!.op === b!.op).length,
      count,
      1 / opsOf[scale].length,
      `${scale}, twice the same`,
    );
    for (const op of opsOf[scale]) {
      const values = drawn
        .flat()
        .filter((one) => one.op === op)
        .map(({ value }) => value);
      likely(values.length, 2 * count, 1 / opsOf[scale].length, `${scale} ${op}`);
      const { value, signed } = magnitude(scale, op, 7, size);
      const turned = applySign(scale, op, value);
      assert.ok(
        values.every((one) => one === value || (signed && one === turned)),
        `${scale} ${op}`,
      );
      if (signed) likely(values.filter((one) => one === value).length, values.length, 0.5, `sign of ${op}`);
    }
  }
  assert.deepEqual(draws({ name: 'randAugment', n: 0 }, 3), [[], [], []]);
  assert.equal(draws({ name: 'randAugment', n: 16 }, 1)[0]!.length, 16);
  const nothing = make({ name: 'randAugment', n: 0 });
  assert.equal(nothing.apply(image, []), image);
  assert.equal(nothing.describe!([]), '');
});

test('the documented values of M=9', () => {
  const rows: readonly [
    string,
    OpName,
    readonly [torchvision: number, timm: number, increasing: number, paper: number],
  ][] = [
    ['rotate', 'rotate', [9, 27, 27, 27]],
    ['translate', 'translateX', [27, 81, 81, 80]],
    ['shear', 'shearY', [0.09, 0.27, 0.27, 0.27]],
    ['color', 'color', [1.27, 1.72, 1.81, 1.72]],
    ['posterize', 'posterize', [7, 3, 1, 3]],
    ['solarize', 'solarize', [178.5, 230, 26, 230]],
  ];
  for (const [name, op, values] of rows) {
    (['torchvision', 'timm', 'timm-increasing', 'paper'] as const).forEach((scale, i) =>
      assert.ok(
        Math.abs(magnitude(scale, op, 9, size).value - values[i]!) < 1e-9,
        `${name} ${scale}: ${magnitude(scale, op, 9, size).value}`,
      ),
    );
  }
  // The authors' 10 px a magnitude holds from 224 px on.
  assert.equal(magnitude('paper', 'translateY', 9, { width: 1, height: 224 }).value, 90);
  assert.equal(magnitude('paper', 'translateX', 27, { width: 600, height: 1 }).value, 270);
  assert.equal(magnitude('paper', 'translateX', 27, { width: 32, height: 1 }).value, 16);
  assert.deepEqual(
    [fillOf('torchvision'), fillOf('paper'), fillOf('timm')],
    [
      [0, 0, 0],
      [128, 128, 128],
      [128, 128, 128],
    ],
  );
});

test('every op has a value that it accepts at every magnitude of every scale', () => {
  for (const scale of scaleNames) {
    for (const op of opNames) {
      for (let m = 0; m <= largest[scale]; m += 0.5) {
        for (const side of [1, 32, 500]) {
          const { value, signed } = magnitude(scale, op, m, { width: side, height: side });
          for (const one of signed ? [value, applySign(scale, op, value)] : [value]) {
            const [low, high] = ops[op].limits;
            assert.ok(
              ops[op].unit === 'none' || (one >= low && one <= high && !Object.is(one, -0)),
              `${scale} ${op} ${m}: ${one}`,
            );
          }
        }
      }
    }
  }
});

test('TrivialAugment: one op, every bin', () => {
  const count = 14 * 31 * 40;
  const drawn = draws({ name: 'trivialAugment' }, count);
  assert.ok(drawn.every((list) => list.length === 1));
  const rotations = drawn
    .flat()
    .filter(({ op }) => op === 'rotate')
    .map(({ value }) => value);
  likely(rotations.length, count, 1 / 14, 'rotate');
  assert.equal(new Set(rotations).size, 61); // 31 bins on two sides, 0 on both
  assert.equal(Math.max(...rotations), 135);
});

test('AutoAugment applies the ops of one sub-policy with their probabilities', () => {
  const count = 10_000;
  const drawn = draws({ name: 'autoAugment', policy: 'imagenet' }, count);
  // ("Invert", 0.6), ("Equalize", 1.0) is there twice, ("Sharpness", 0.4), ("Invert", 0.6) once:
  // nothing else inverts.
  likely(drawn.filter((list) => list.some(({ op }) => op === 'invert')).length, count, (3 * 0.6) / 25, 'invert');
  likely(drawn.filter((list) => list.some(({ op }) => op === 'shearX')).length, count, 0.6 / 25, 'shearX');
  assert.ok(drawn.every((list) => list.length <= 2));
  const shears = drawn
    .flat()
    .filter(({ op }) => op === 'shearX')
    .map(({ value }) => value);
  likely(shears.filter((value) => value > 0).length, shears.length, 0.5, 'sign');
});

test('AugMix: shares add up to 1, chains of 1 to 3 ops, magnitudes below the severity', () => {
  const drawn = draws<MixDraw>({ name: 'augMix', severity: 3, width: 4 }, 3000);
  const depths = [0, 0, 0, 0];
  for (const { original, chains } of drawn) {
    assert.equal(chains.length, 4);
    assert.ok(Math.abs(original + chains.reduce((sum, { weight }) => sum + weight, 0) - 1) < 1e-6);
    for (const { ops: list } of chains) {
      depths[list.length]!++;
      for (const { op, value } of list) if (op === 'rotate') assert.ok(Math.abs(value) <= (2 / 9) * 30 + 1e-9);
    }
  }
  for (const depth of [1, 2, 3]) likely(depths[depth]!, 12_000, 1 / 3, `depth ${depth}`);
  // Beta(1, 1) and Dirichlet(1, 1, 1, 1): means 1/2 and 1/8.
  const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
  assert.ok(Math.abs(mean(drawn.map(({ original }) => original)) - 0.5) < 0.03);
  assert.ok(Math.abs(mean(drawn.map(({ chains }) => chains[2]!.weight)) - 0.125) < 0.01);
  assert.ok(
    draws<MixDraw>({ name: 'augMix', depth: 2, width: 1, allOps: false }, 50).every(
      ({ chains }) =>
        chains.length === 1 &&
        chains[0]!.ops.length === 2 &&
        chains[0]!.ops.every(({ op }) => !['brightness', 'color', 'contrast', 'sharpness'].includes(op)),
    ),
  );
  const half: MixDraw = { original: 0.5, chains: [{ weight: 0.5, ops: [{ op: 'invert', value: 0 }] }] };
  assert.ok(applyMixture(image, half, { sampling: 'nearest', fill: [0, 0, 0] }).data.every((x) => x === 127));
  const tiny = draws<MixDraw>({ name: 'augMix', alpha: 0.01 }, 300);
  assert.ok(tiny.every(({ original }) => original >= 0 && original <= 1));
});

test('timm: probability, noise and weights', () => {
  const count = 8000;
  const lengths = draws({ name: 'timmAugment', config: 'rand-m9-n3-p0.4' }, count).map((list) => list.length);
  likely(
    lengths.reduce((a, b) => a + b, 0),
    3 * count,
    0.4,
    'probability',
  );
  const rotations = (config: string): number[] =>
    draws({ name: 'timmAugment', config }, count)
      .flat()
      .filter(({ op }) => op === 'rotate')
      .map(({ value }) => Math.abs(value) / 3);
  const noisy = rotations('rand-m5-n4-p1-mstd0.5');
  const mean = noisy.reduce((a, b) => a + b, 0) / noisy.length;
  const deviation = Math.sqrt(noisy.reduce((sum, x) => sum + (x - mean) ** 2, 0) / noisy.length);
  assert.ok(Math.abs(mean - 5) < 0.06 && Math.abs(deviation - 0.5) < 0.04, `${mean} ${deviation}`);
  assert.ok(
    Math.max(...rotations('rand-m9-n4-mstd3')) === 10 && Math.max(...rotations('rand-m15-n4-mstd3-mmax20')) === 20,
  );
  const uniform = rotations('rand-m8-n4-p1-mstd101');
  assert.ok(
    Math.max(...uniform) < 8 &&
      Math.min(...uniform) < 0.1 &&
      Math.abs(uniform.reduce((a, b) => a + b, 0) / uniform.length - 4) < 0.2,
  );

  const weighted = parseTimm('rand-m9-n3-w0');
  assert.ok(weighted.kind === 'rand');
  const chosen = Array.from({ length: count }, (_, i) => chooseOps(new Random(2, i), weighted));
  assert.ok(
    chosen.every(
      (list) =>
        new Set(list.map(({ op }) => op)).size === 3 && list.every(({ op }) => op !== 'invert' && op !== 'posterize'),
    ),
  );
  likely(chosen.filter(([first]) => first!.op === 'rotate').length, count, 0.3, 'rotate first'); // weights add up to 1
});

test('randomChoice draws one of its lists per image and keeps their order', () => {
  const count = 4000;
  const drawn = draws(
    {
      name: 'randomChoice',
      scale: 'timm',
      policies: [
        [
          { op: 'solarize', magnitude: 5 },
          { op: 'posterize', magnitude: 10 },
        ],
        [{ op: 'equalize', probability: 0.25 }],
      ],
    },
    count,
  );
  const first = drawn.filter((list) => list.length === 2);
  likely(first.length, count, 0.5, 'first list');
  assert.ok(
    first.every((list) => JSON.stringify(list) === '[{"op":"solarize","value":128},{"op":"posterize","value":4}]'),
  );
  likely(drawn.filter((list) => list.length === 1).length, count, 0.125, 'equalize');
});

test('mistakes in options are one line', () => {
  const rows: readonly [TransformSpec, RegExp][] = [
    [{ name: 'randAugment', m: 31 }, /^step 1 \(randAugment\): m is 31: give a number from 0 to 30$/],
    [{ name: 'randAugment', m: 12, scale: 'timm' }, /: m is 12: give a number from 0 to 10 on the scale timm/],
    [{ name: 'randAugment', n: -1 }, /: n is -1: give a whole number from 0 to 16$/],
    [
      { name: 'randAugment', ops: ['rotaet'] },
      /: ops\[0\] is "rotaet": give the name of an op \(did you mean "rotate"\?\)$/,
    ],
    [{ name: 'randAugment', ops: [] }, /: ops is \[\]: give one op or more$/],
    [{ name: 'randAugment', magnitude: 3 } as never, /: no option "magnitude"/],
    [{ name: 'augMix', severity: 11 }, /: severity is 11: give a whole number from 1 to 10$/],
    [{ name: 'autoAugment', policy: 'mnist' } as never, /: policy is "mnist": give imagenet, cifar10 or svhn$/],
    [{ name: 'timmAugment', config: 'rand-q9' }, /^timm:rand-q9: no section "q9"; known: m, n, p/],
    [
      { name: 'randomChoice', policies: [[{ op: 'rotate' }]] },
      /: policies\[0\]\[0\]\.magnitude is missing: give a number from 0 to 30/,
    ],
    [{ name: 'randomChoice', policies: [] }, /: policies is \[\]: give one list of ops or more$/],
    [
      { name: 'randomChoice', scale: 'timm', policies: [[{ op: 'equalize' }, { op: 'rotate', magnitude: 11 }]] },
      /: policies\[0\]\[1\]\.magnitude is 11: give a number from 0 to 10/,
    ],
  ];
  for (const [step, message] of rows) {
    assert.throws(
      () => buildPipeline([step]),
      (error: Error) => error.name === 'PupilError' && message.test(error.message) && !error.message.includes('\n'),
      JSON.stringify(step),
    );
  }
  for (const [text, message] of [
    ['rand-m9-z1', /no section "z1"/],
    ['rand-m9.5', /m is "9.5", expected a whole number from 0 to 100/],
    ['rand-mstd', /mstd is "", expected a number from 0$/],
    ['rand-m1-m2', /section m is there twice/],
    ['rand-tfoo', /no section "tfoo"; op lists: tweights, t3a, t3aw/],
    ['rand-n9-t3aw-w0', /give w or t, not both/],
    ['rand-n16-tweights', /n is 16, but weighted ops are drawn without replacement and there are 15/],
    ['rand-w1', /w is "1", expected 0$/],
    ['augmix-q1', /no section "q1"/],
    ['orignal', /did you mean "original"/],
    ['v0-m9', /no section "m9"; known: mstd/],
  ] as const)
    assert.throws(
      () => parseTimm(text),
      (error: Error) => error.name === 'PupilError' && message.test(error.message),
      text,
    );
});
