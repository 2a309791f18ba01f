import assert from 'node:assert/strict';
import { test } from 'node:test';
import { normalizations } from '../../data/preprocessing.js';
import type { OnnxFile } from '../../onnx/index.js';
import { float32, int64, numbersOf } from '../../tensor.js';
import { assertClose, logitsOf, ramp, sketch } from '../../testing/sketch.js';
import { importFile, type ImportOptions } from '../import.js';
import { inspectFile } from '../inspect.js';

type Nodes = Parameters<typeof sketch>[0];

/**
 * Two classes from images of 2x2 pixels: one filter of 2x2 for each, `start` before it. Images
 * have their channels first or last.
 */
function network(start: Nodes, shape: (number | string)[], dtype: 'float32' | 'uint8' = 'float32'): OnnxFile {
  const isLast = shape[3] === 1 || shape[3] === 3;
  const channels = Number(isLast ? shape[3] : shape[1]);
  const planes: Nodes = isLast ? [['Transpose', ['n'], ['t'], { perm: [0, 3, 1, 2] }]] : [['Identity', ['n'], ['t']]];
  return sketch([...start, ...planes, ['Conv', ['t', 'w', 'b'], ['c']], ['Flatten', ['c'], ['y']]], {
    inputs: [{ name: 'x', dtype, shape }],
    weights: {
      w: float32(
        [2, channels, 2, 2],
        Array.from({ length: 8 * channels }, (_, i) => i + 1),
      ),
      b: float32([2], [10, 20]),
      s: float32([], [255]),
    },
  });
}
const nothing: Nodes = [['Identity', ['x'], ['n']]];
const scaling: Nodes = [['Div', ['x', 's'], ['n']]];

/** One image, planes of red, green and blue, and its luma. */
const image = float32([1, 3, 2, 2], [1, 0, 0, 0.5, 0, 1, 0, 0.5, 0, 0, 1, 0.5]);
const grey = [0.299, 0.587, 0.114, 0.5];
const sum = (filter: readonly number[], bias: number): number =>
  filter.reduce((total, w, i) => total + w * grey[i]!, bias);
const wanted = [sum([1, 2, 3, 4], 10), sum([5, 6, 7, 8], 20)];

for (const [name, shape] of Object.entries({ first: ['N', 1, 2, 2], last: ['N', 2, 2, 1], fixed: [1, 2, 2, 1] })) {
  test(`a network for grey images (channels ${name}) gets the luma of RGB, as worked out by hand`, () => {
    const { model } = importFile(network(nothing, shape), 'm');
    assert.deepEqual(model.graph.inputs[0]!.shape, ['N', 3, 2, 2]);
    assertClose(numbersOf(logitsOf(model, image)), wanted, 1e-5);
    assert.deepEqual([...model.parameters.keys()].sort(), ['b', 'w']);
  });
}

test('a grey network that takes bytes gets them from 0 to 255', () => {
  const start: Nodes = [
    ['Cast', ['x'], ['f'], { to: 1 }],
    ['Div', ['f', 's'], ['n']],
  ];
  const { model } = importFile(network(start, ['N', 1, 2, 2], 'uint8'), 'm');
  assertClose(numbersOf(logitsOf(model, image)), wanted, 1e-5);
});

test('grey is normalised by one mean and std: the one given, x / 255, or what the network does itself', () => {
  const preprocessing = (file: OnnxFile, options: ImportOptions = {}): [number, number, string[]] => {
    const notes: string[] = [];
    const { mean, std } = importFile(file, 'm', { ...options, warn: (note) => notes.push(note) }).model.preprocessing;
    for (const three of [mean, std]) assert.deepEqual(three, [three[0], three[0], three[0]]);
    return [mean[0], std[0], notes.filter((note) => note.includes('prepared'))];
  };
  const plain = network(nothing, ['N', 1, 2, 2]);
  assert.deepEqual(preprocessing(plain), [
    0,
    1,
    [
      'm: does not say how images are prepared, so x / 255 is used; ' +
        'give others with `normalize` (symmetric, unit, bytes or MEAN/STD)',
    ],
  ]);
  assert.deepEqual(preprocessing(plain, { normalize: '0.1307/0.3081' }), [0.1307, 0.3081, []]);
  const bytes = preprocessing(network(scaling, ['N', 2, 2, 1]));
  assert.deepEqual(bytes, [0, normalizations.bytes.std[0], []]);
  // Of three numbers what they are of grey.
  const [mean, std] = preprocessing(plain, { normalize: 'imagenet' });
  assertClose(
    [mean, std],
    [0.299 * 0.485 + 0.587 * 0.456 + 0.114 * 0.406, 0.299 * 0.229 + 0.587 * 0.224 + 0.114 * 0.225],
    1e-9,
  );
});

test('inspect says that a network takes grey images', () => {
  const says = (shape: (number | string)[]): boolean =>
    inspectFile(network(nothing, shape), 'm').notes.includes(
      'it takes grey images: colours become 0.299 red + 0.587 green + 0.114 blue',
    );
  assert.deepEqual(
    [
      ['N', 1, 2, 2],
      ['N', 2, 2, 1],
      ['N', 3, 2, 2],
      ['N', 2, 2, 3],
    ].map(says),
    [true, true, false, false],
  );
});

test('a network for RGB images with channels last reads them so', () => {
  const first = importFile(network(nothing, ['N', 3, 2, 2]), 'm').model;
  const last = importFile(network(nothing, ['N', 2, 2, 3]), 'm').model;
  const images = ramp(3, 3, 2, 2);
  assertClose(numbersOf(logitsOf(last, images)), numbersOf(logitsOf(first, images)), 0);
});

test('networks for other channels and an order of channels of grey are refused, with what to do', () => {
  for (const shape of [
    ['N', 4, 2, 2],
    ['N', 2, 8, 8],
    ['N', 32, 32, 4],
  ])
    assert.throws(() => importFile(network(nothing, shape), 'm'), {
      code: 'unsupported',
      message:
        `m: its input x is float32 [${shape.join(', ')}], with neither 3 channels (RGB) nor 1 (grey), which is what ` +
        'images have; export the model with a first layer for 3 channels',
    });
  assert.throws(() => importFile(network(nothing, ['N', 1, 2, 2]), 'm', { channels: 'bgr' }), {
    code: 'usage',
    option: 'channels',
  });
});

test('of several inputs one for RGB images comes before one of one channel, such as a mask', () => {
  const file = network(nothing, ['N', 3, 2, 2]);
  const mask = { name: 'mask', dtype: 'float32', shape: ['N', 1, 2, 2] } as const;
  const { model } = importFile({ ...file, graph: { ...file.graph, inputs: [mask, ...file.graph.inputs] } }, 'm');
  assert.equal(numbersOf(logitsOf(model, image)).length, 2);
});

test("one channel brought to the front by a Reshape, as TensorFlow's exporter does it, is read", () => {
  const file = network(
    [
      ['Reshape', ['x', 'planes'], ['r']],
      ['Transpose', ['r'], ['n'], { perm: [0, 2, 3, 1] }],
    ],
    ['N', 2, 2, 1],
  );
  const planes = int64([4], [-1, 1, 2, 2]);
  const { model } = importFile(
    { ...file, graph: { ...file.graph, initializers: new Map([...file.graph.initializers, ['planes', planes]]) } },
    'm',
  );
  assertClose(numbersOf(logitsOf(model, image)), wanted, 1e-5);
});
