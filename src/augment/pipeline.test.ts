import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { Image, Size } from '../image/image.js';
import { Random } from '../random.js';
import { noise } from '../testing/image-files.js';
import { ops, type OpName } from './ops.js';
import {
  buildPipeline,
  describeDraws,
  findTransform,
  readPipeline,
  replayPipeline,
  runPipeline,
  transforms,
  type PipelineSpec,
  type TransformName,
  type TransformSpec,
} from './pipeline.js';
import { describeDraw, type Transform } from './transform.js';

const image = noise(1, 80, 60);

/**
 * One row per transform with options of its own: options that change something, and what a draw may
 * say.
 */
const rows: Record<
  Exclude<TransformName, OpName>,
  { options: object; says: RegExp; size?: readonly [width: number, height: number] }
> = {
  resize: { options: { width: 20, height: 10, interpolation: 'bicubic' }, says: /^resize$/, size: [20, 10] },
  resizeShort: { options: { size: 30 }, says: /^resize-short$/, size: [40, 30] },
  centreCrop: { options: { width: 90, height: 20 }, says: /^centre-crop$/, size: [90, 20] },
  resizedCentre: { options: { short: 30, width: 24, height: 28 }, says: /^resized-centre$/, size: [24, 28] },
  randomResizedCrop: { options: { width: 16, height: 24 }, says: /^crop \d+x\d+ at \d+,\d+$/, size: [16, 24] },
  padAndCrop: { options: { pad: 0.2, fill: 'reflect' }, says: /^shift -?\d+,-?\d+ px$/ },
  horizontalFlip: { options: { probability: 1 }, says: /^horizontal-flip$/ },
  verticalFlip: { options: { probability: 1 }, says: /^vertical-flip$/ },
  affine: {
    options: { degrees: 20, translate: [0.1, 0.2], scale: [0.8, 1.2], shear: [-10, 10, -5, 5] },
    says: /^affine -?[\d.]+° -?\d+,-?\d+ px x[\d.]+ shear -?[\d.]+°,-?[\d.]+°$/,
  },
  perspective: { options: { probability: 1 }, says: /^perspective$/ },
  colourJitter: {
    options: { brightness: 0.4, contrast: [0.5, 2], saturation: 0.4, hue: 0.1 },
    says: /brightness [\d.]+/,
  },
  gaussianBlur: { options: { sigma: [1, 2], kernel: 5 }, says: /^blur [12](\.\d+)?$/ },
  randomErasing: { options: { probability: 1, fill: 'noise' }, says: /^erase \d+x\d+ at \d+,\d+$/ },
  cutout: { options: {}, says: /^cutout \d+x\d+ at \d+,\d+$/ },
  randAugment: { options: { n: 3, m: 15 }, says: /./ },
  autoAugment: { options: { policy: 'cifar10' }, says: /^/ },
  trivialAugment: { options: {}, says: /./ },
  augMix: { options: {}, says: /./ },
  timmAugment: { options: { config: 'rand-m9-n2-mstd0.5-inc1' }, says: /^/ },
  randomChoice: {
    options: {
      policies: [
        [
          { op: 'rotate', magnitude: 9 },
          { op: 'color', magnitude: 12, probability: 0.5 },
        ],
      ],
    },
    says: /./,
  },
};

const steps = [
  ...Object.entries(rows).map(([name, row]) => ({ name, ...row })),
  ...Object.keys(ops).map((name) => ({
    name,
    options: {},
    says: /^[a-z-]+( -?[\d.]+(°| px| bits?)?)?$/,
    size: undefined,
  })),
];
const specOf = ({ name, options }: { name: string; options: object }): TransformSpec =>
  ({ name, ...options }) as TransformSpec;

test('every transform has a row here', () =>
  assert.deepEqual(steps.map(({ name }) => name).sort(), Object.keys(transforms).sort()));

test('every transform is in the documentation', () => {
  const text = readFileSync(new URL('../../docs/augmentation.md', import.meta.url), 'utf8');
  for (const { name } of steps) assert.ok(text.includes(`\`${name}\``), name);
});

for (const step of steps) {
  test(`${step.name}: repeatable, pure, replayed from JSON, named as in the table`, () => {
    const [transform] = buildPipeline(JSON.parse(JSON.stringify([specOf(step)])) as PipelineSpec);
    assert.ok(transform);
    assert.equal(transform.name, step.name);
    const before = image.data.slice();
    for (let i = 0; i < 5; i++) {
      const parameters: unknown = transform.sample(new Random(3, step.name, i), image);
      assert.deepEqual(transform.sample(new Random(3, step.name, i), image), parameters);
      const result = transform.apply(image, parameters);
      const logged = JSON.parse(JSON.stringify(parameters)) as unknown;
      const replayed = transform.apply(image, logged);
      assert.deepEqual(replayed, result);
      assert.deepEqual(image.data, before, 'the input stays');
      const [width, height] = step.size ?? [80, 60];
      assert.deepEqual([result.width, result.height, result.data.length], [width, height, width * height * 3]);
      assert.match(describeDraw(transform, parameters), step.says);
    }
  });
}

test('every transform takes images of one pixel, of a line and of 20,000 pixels', () => {
  const sizes = [
    noise(1, 1, 1),
    noise(1, 1, 9),
    noise(1, 9, 1),
    noise(1, 2, 2),
    grey(13, 7),
    noise(1, 20_000, 3),
    noise(1, 3, 20_000),
  ];
  for (const step of steps) {
    const [transform] = buildPipeline([specOf(step)]);
    for (const size of sizes) {
      for (let i = 0; i < 3; i++) {
        const result = transform!.apply(size, transform!.sample(new Random(5, i), size));
        assert.equal(
          result.data.length,
          result.width * result.height * 3,
          `${step.name} of ${size.width}x${size.height}`,
        );
      }
    }
  }
  const [resizeShort] = buildPipeline([{ name: 'resizeShort', size: 256 }]);
  assert.throws(() => resizeShort!.apply(noise(1, 20_000, 3), null), {
    code: 'bad-data',
    message: 'resize-short: an image of 20000x3 would become 1706666x256; crop it first',
  });
});

function grey(width: number, height: number): Image {
  const { data } = noise(4, width, height);
  return { width, height, data: data.map((_, i) => data[i - (i % 3)]!) };
}

test('the centre of a long strip is cut before it is resized, with the same pixels', () => {
  for (const [width, height, short, cut] of [
    [2000, 30, 28, 24],
    [2001, 30, 31, 25],
    [31, 1999, 20, 20],
    [1777, 17, 23, 12],
  ] as const) {
    const strip = noise(7, width, height);
    const whole = buildPipeline([
      { name: 'resizeShort', size: short },
      { name: 'centreCrop', width: cut, height: cut },
    ]);
    const part = buildPipeline([{ name: 'resizedCentre', short, width: cut, height: cut }]);
    assert.deepEqual(runPipeline(part, strip, new Random(0)), runPipeline(whole, strip, new Random(0)));
  }
});

/** 2,000 draws of a step on an image of that size. */
function draws<P>(spec: TransformSpec, size: Size = image): P[] {
  const [transform] = buildPipeline([spec]) as [Transform<P>];
  return Array.from({ length: 2000 }, (_, i) => transform.sample(new Random(0, i), size));
}

test('ranges are reached and not passed', () => {
  const reached = (values: number[], low: number, high: number): void => {
    const slack = (high - low) / 100;
    assert.ok(
      values.every((x) => x >= low && x <= high),
      `${Math.min(...values)}..${Math.max(...values)} in ${low}..${high}`,
    );
    assert.ok(
      Math.min(...values) <= low + slack && Math.max(...values) >= high - slack,
      `${Math.min(...values)}..${Math.max(...values)} in ${low}..${high}`,
    );
  };
  for (const [name, op] of Object.entries(ops)) {
    if (op.unit !== 'none') reached(draws<number>({ name: name as OpName }), ...op.range(image));
  }
  reached(draws<number>({ name: 'rotate', range: [5, 9] }), 5, 9);
  assert.deepEqual(
    [...new Set(draws<number>({ name: 'posterize', range: [3, 6] }))].sort((a, b) => a - b),
    [3, 4, 5, 6],
  );
  assert.equal(draws<null>({ name: 'rotate', probability: 0.25 }).filter((x) => x !== null).length > 400, true);
  const affine = draws<{ angle: number; translate: [number, number]; scale: number; shear: [number, number] }>({
    name: 'affine',
    degrees: [-3, 7],
    translate: [0.1, 0.2],
    scale: [0.5, 2],
    shear: 4,
  });
  reached(
    affine.map(({ angle }) => angle),
    -3,
    7,
  );
  assert.deepEqual(new Set(affine.map(({ translate: [x] }) => x)).size, 17);
  reached(
    affine.map(({ translate: [, y] }) => y),
    -12,
    12,
  );
  reached(
    affine.map(({ scale }) => scale),
    0.5,
    2,
  );
  reached(
    affine.map(({ shear: [x] }) => x),
    -4,
    4,
  );
  assert.ok(affine.every(({ shear: [, y] }) => y === 0));
  const corners = draws<[number, number][]>({ name: 'perspective', probability: 1, distortion: 0.5 });
  reached(
    corners.map((c) => c[0]![0]),
    0,
    20,
  );
  reached(
    corners.map((c) => c[2]![1]),
    44,
    59,
  );
  const jitter = draws<{ op: string; value: number }[]>({ name: 'colourJitter', brightness: 0.4, hue: 0.2 });
  reached(
    jitter.map((parts) => parts.find(({ op }) => op === 'brightness')!.value),
    0.6,
    1.4,
  );
  reached(
    jitter.map((parts) => parts.find(({ op }) => op === 'hue')!.value),
    -0.2,
    0.2,
  );
  assert.ok(jitter.some(([first]) => first!.op === 'hue') && jitter.every((parts) => parts.length === 2));
  reached(draws<number>({ name: 'gaussianBlur' }), 0.1, 2);
});

test('random resized crops cover the declared areas and ratios, inside the image', () => {
  const areas = draws<{ left: number; top: number; width: number; height: number }>({
    name: 'randomResizedCrop',
    width: 8,
    height: 8,
  }).map(({ left, top, width, height }) => {
    assert.ok(left >= 0 && top >= 0 && left + width <= 80 && top + height <= 60);
    assert.ok(width / height > 0.7 && width / height < 1.42, `${width}x${height}`);
    return (width * height) / 4800;
  });
  assert.ok(Math.min(...areas) > 0.07 && Math.min(...areas) < 0.1 && Math.max(...areas) > 0.9);
  // Uniform in [0.08, 1], less those that do not fit.
  const mean = areas.reduce((a, b) => a + b, 0) / areas.length;
  assert.ok(mean > 0.4 && mean < 0.54, String(mean));
  // Where nothing fits, the largest allowed central box.
  const wide = draws({ name: 'randomResizedCrop', width: 8, height: 8, scale: [0.9, 1] }, { width: 300, height: 10 });
  assert.deepEqual(wide[0], { left: 143, top: 0, width: 13, height: 10 });
});

test('pad-and-crop reaches every offset, in pixels or shares, black or reflected', () => {
  const offsets = (spec: TransformSpec): number => new Set(draws(spec).map((draw) => JSON.stringify(draw))).size;
  assert.equal(offsets({ name: 'padAndCrop', pad: 2, width: 80, height: 60 }), 25);
  assert.equal(offsets({ name: 'padAndCrop', pad: 0.05 }), 9 * 7);
  const line = { width: 4, height: 1, data: Uint8Array.from([1, 2, 3, 4].flatMap((x) => [x, x, x])) };
  const shifted = (spec: TransformSpec, left: number): number[] => {
    const [transform] = buildPipeline([spec]);
    return [...transform!.apply(line, { left, top: 0 }).data].filter((_, i) => i % 3 === 0);
  };
  assert.deepEqual(shifted({ name: 'padAndCrop', width: 8 }, -3), [0, 0, 0, 1, 2, 3, 4, 0]);
  assert.deepEqual(
    shifted({ name: 'padAndCrop', width: 12, fill: 'reflect' }, -3),
    [4, 3, 2, 1, 2, 3, 4, 3, 2, 1, 2, 3],
  );
  assert.deepEqual(shifted({ name: 'padAndCrop', fill: [7, 7, 7] }, 2), [3, 4, 7, 7]);
});

test('erasing covers the declared shares; cutout is a square, cut off at the borders', () => {
  const erased = draws<{ left: number; top: number; width: number; height: number; seed: number } | null>({
    name: 'randomErasing',
    probability: 1,
    fill: 'noise',
  }).filter((x) => x !== null);
  assert.ok(erased.length > 1900);
  const areas = erased.map(({ width, height }) => (width * height) / 4800);
  assert.ok(Math.min(...areas) < 0.03 && Math.max(...areas) > 0.31 && Math.max(...areas) < 0.35);
  assert.ok(
    erased.every(
      ({ left, top, width, height }) =>
        left >= 0 && top >= 0 && left + width <= 80 && top + height <= 60 && width < 80 && height < 60,
    ),
  );
  assert.equal(new Set(erased.map(({ seed }) => seed)).size, erased.length);
  const cut = draws<{ left: number; top: number; width: number; height: number }>({ name: 'cutout', size: 0.5 });
  const whole = cut.filter(({ width, height }) => width === 30 && height === 30);
  assert.ok(Math.abs(whole.length / cut.length - (51 * 31) / 4800) < 0.04, String(whole.length));
  assert.ok(
    cut.every(
      ({ left, top, width, height }) => width >= 15 && height >= 15 && left + width <= 80 && top + height <= 60,
    ),
  );
  const [cutout] = buildPipeline([{ name: 'cutout', fill: [1, 2, 3] }]);
  const result = cutout!.apply(image, { left: 10, top: 20, width: 2, height: 1 });
  assert.deepEqual([...result.data.subarray((20 * 80 + 10) * 3, (20 * 80 + 12) * 3)], [1, 2, 3, 1, 2, 3]);
  assert.equal(result.data.filter((x, i) => x !== image.data[i]).length <= 6, true);
});

test('a pipeline records its draws, replays and describes them, and gives nothing of the caller away', () => {
  const pipeline = buildPipeline([
    { name: 'randomResizedCrop', width: 32, height: 32 },
    { name: 'horizontalFlip' },
    { name: 'rotate' },
    { name: 'colourJitter', brightness: 0.3, hue: 0.1 },
    { name: 'identity' },
    { name: 'cutout' },
  ]);
  const before = image.data.slice();
  const results = Array.from({ length: 20 }, (_, i) => {
    const record: unknown[] = [];
    const result = runPipeline(pipeline, image, new Random(9, i), record);
    return { result, copy: result.data.slice(), record: JSON.parse(JSON.stringify(record)) as unknown[] };
  });
  for (const { result, copy, record } of results) {
    assert.equal(record.length, 6);
    assert.deepEqual(result.data, copy, "results stay the caller's");
    assert.deepEqual(replayPipeline(pipeline, image, record).data, copy);
  }
  assert.deepEqual(image.data, before);
  assert.equal(
    runPipeline(buildPipeline([{ name: 'identity' }, { name: 'rotate', range: [0, 0] }]), image, new Random(0)),
    image,
  );
  const captions = results.map(({ record }) => describeDraws(pipeline, record));
  assert.ok(
    captions.some((parts) => parts[1] === 'horizontal-flip') &&
      captions.some((parts) => parts[1]!.startsWith('rotate ')),
  );
});

test('names in any case or hyphenation', () => {
  assert.deepEqual(['random-resized-crop', 'CenterCrop', 'ColorJitter', 'RandAugment', 'shear_x'].map(findTransform), [
    'randomResizedCrop',
    'centreCrop',
    'colourJitter',
    'randAugment',
    'shearX',
  ]);
  assert.deepEqual(readPipeline(JSON.parse('[{"name": "Shear-X", "range": [0, 0.1]}]')), [
    { name: 'shearX', range: [0, 0.1] },
  ]);
});

/** What is wrong with a pipeline, in one line. */
const refusals: [spec: unknown, message: string][] = [
  [{}, 'a pipeline is a list of steps such as [{"name": "rotate", "range": [-15, 15]}]'],
  [['rotate'], 'step 1: give an object with a name, such as {"name": "rotate"}'],
  [[{ name: 'invert' }, { name: 'rotat' }], 'step 2: no transform named "rotat": did you mean "rotate"?'],
  [
    [{ name: 'invert' }, { name: 'rotate', range: [0, 400] }],
    'step 2 (rotate): range[1] is 400: give degrees from -180 to 180',
  ],
  [
    [{ name: 'rotate', range: [9, 3] }],
    'step 1 (rotate): range is [9,3]: give [low, high] with the lower number first',
  ],
  [[{ name: 'rotate', range: 9 }], 'step 1 (rotate): range is 9: give [low, high]'],
  [[{ name: 'rotate', range: [1, 2, 3] }], 'step 1 (rotate): range[2] is 3: give [low, high]'],
  [[{ name: 'rotate', rnage: [1, 2] }], 'step 1 (rotate): no option "rnage": did you mean "range"?'],
  [[{ name: 'invert', sampling: 'nearest' }], 'step 1 (invert): no option "sampling": known: probability'],
  [
    [{ name: 'rotate', sampling: 'cubic' }],
    'step 1 (rotate): sampling is "cubic": give "nearest", "bilinear" or "bicubic"',
  ],
  [[{ name: 'rotate', fill: [0, 0, 256] }], 'step 1 (rotate): fill[2] is 256: give a whole number from 0 to 255'],
  [[{ name: 'rotate', fill: [0, 0] }], 'step 1 (rotate): fill[2] is missing: give a whole number from 0 to 255'],
  [[{ name: 'rotate', probability: '1' }], 'step 1 (rotate): probability is "1": give a number from 0 to 1'],
  [[{ name: 'posterize', range: [3.5, 4] }], 'step 1 (posterize): range[0] is 3.5: give whole bits kept from 0 to 8'],
  [[{ name: 'resize', width: 20 }], 'step 1 (resize): height is missing: give whole pixels from 1 to 20000'],
  [[{ name: 'resizeShort', size: 0 }], 'step 1 (resizeShort): size is 0: give whole pixels from 1 to 20000'],
  [
    [{ name: 'affine', degrees: [-200, 0] }],
    'step 1 (affine): degrees is [-200,0]: give degrees from 0 to 180, or [low, high] within 180 of 0',
  ],
  [
    [{ name: 'affine', degrees: 'x' }],
    'step 1 (affine): degrees is "x": give degrees from 0 to 180, or [low, high] within 180 of 0',
  ],
  [
    [{ name: 'padAndCrop', pad: 2.5 }],
    'step 1 (padAndCrop): pad is 2.5: give whole pixels, or a share of the side below 1',
  ],
  [
    [{ name: 'padAndCrop', fill: 'mirror' }],
    'step 1 (padAndCrop): fill is "mirror": give "reflect" or [red, green, blue], each from 0 to 255',
  ],
  [
    [{ name: 'gaussianBlur', kernel: 4 }],
    'step 1 (gaussianBlur): kernel is 4: give an odd number of pixels from 1 to 999',
  ],
  [[{ name: 'colourJitter', hue: 0.7 }], 'step 1 (colourJitter): hue is 0.7: give a number from 0 to 0.5'],
  [[{ name: 'cutout', size: NaN }], 'step 1 (cutout): size is NaN: give a number from 0 to 1'],
  [[{ name: 'toString' }], 'step 1: no transform named "toString": '],
];

for (const [spec, message] of refusals) {
  test(`refused: ${JSON.stringify(spec)}`, () => {
    assert.throws(
      () => buildPipeline(spec as PipelineSpec),
      (error: Error & { code?: string }) =>
        error.code === 'usage' &&
        (message.endsWith(' ') ? error.message.startsWith(message) : (assert.equal(error.message, message), true)),
    );
  });
}
