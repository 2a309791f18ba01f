/** Ops that are written out as several others. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createEngine } from '../../engine/index.js';
import { bindInputs } from '../../graph/passes.js';
import { float32, int64, numbersOf } from '../../tensor.js';
import { assertClose, logitsOf, ramp, run, sketch } from '../../testing/sketch.js';
import { importFile } from '../import.js';

test('a weight that is standardised from copies in two layouts is one parameter', () => {
  const weight = ramp(1, 4, 12),
    data = numbersOf(weight);
  const transposed = Array.from({ length: 48 }, (_, i) => data[(i % 4) * 12 + Math.floor(i / 4)]!);
  const axes = [0, 1];
  const file = sketch(
    [
      ['ReduceMean', ['onnx::ReduceMean_2'], ['m'], { axes, keepdims: 0 }],
      ['ReduceMean', ['onnx::ReduceMean_2'], ['k'], { axes, keepdims: 1 }],
      ['Sub', ['onnx::ReduceMean_2', 'k'], ['d']],
      ['Mul', ['d', 'd'], ['s']],
      ['ReduceMean', ['s'], ['v'], { axes, keepdims: 0 }],
      [
        'BatchNormalization',
        ['onnx::BatchNormalization_1', 'gain', '/Constant_output_0', 'm', 'v'],
        ['n', 'n1', 'n2'],
        { epsilon: 1e-5, training_mode: 1 },
      ],
      ['Reshape', ['n', 'shape'], ['w']],
      ['Conv', ['x', 'w'], ['c'], { kernel_shape: [2, 2] }],
      ['Flatten', ['c'], ['y']],
    ],
    {
      weights: {
        'onnx::BatchNormalization_1': weight,
        'onnx::ReduceMean_2': float32([1, 12, 4], transposed),
        'gain': float32([4], [1, 2, 3, 4]),
        '/Constant_output_0': float32([4], [0, 0, 0, 0]),
        'shape': int64([4], [4, 3, 2, 2]),
      },
    },
  );
  const { model } = importFile(file, 'sketch'),
    x = ramp(2, 3, 2, 2);
  assert.deepEqual(
    [...model.parameters.values()].map(({ dims }) => dims),
    [[1, 4, 12], [4]],
  );
  const rows = [0, 1, 2, 3].map((o) => {
    const row = data.slice(o * 12, o * 12 + 12),
      mean = row.reduce((a, b) => a + b) / 12,
      variance = row.reduce((a, b) => a + (b - mean) ** 2, 0) / 12;
    return row.map((w) => ((o + 1) * (w - mean)) / Math.sqrt(variance + 1e-5));
  });
  const image = (n: number): number[] => numbersOf(x).slice(n * 12, n * 12 + 12);
  assertClose(
    numbersOf(logitsOf(model, x)),
    [0, 1].flatMap((n) => rows.map((row) => row.reduce((sum, w, i) => sum + w * image(n)[i]!, 0))),
    1e-5,
  );
});

test('scales of a Resize may be computed from stored numbers', () => {
  const file = sketch(
    [
      ['Concat', ['/Constant_output_0', '/Constant_1_output_0'], ['scales'], { axis: 0 }],
      ['Resize', ['x', '', 'scales'], ['r'], { mode: 'nearest', coordinate_transformation_mode: 'asymmetric' }],
      ['Flatten', ['r'], ['y']],
    ],
    { weights: { '/Constant_output_0': float32([2], [1, 1]), '/Constant_1_output_0': float32([2], [1, 2]) } },
  );
  assert.deepEqual(
    run(file),
    numbersOf(ramp(2, 3, 2, 2)).flatMap((x) => [x, x]),
  );
});

const turns = {
  '': [['Pad', ['c', 'pads', 'zero'], ['p']]],
  ', channels last': [
    ['Transpose', ['c'], ['t'], { perm: [0, 2, 3, 1] }],
    ['Pad', ['t', 'lastPads', 'zero'], ['q']],
    ['Transpose', ['q'], ['p'], { perm: [0, 3, 1, 2] }],
  ],
} satisfies Record<string, Parameters<typeof sketch>[0]>;
for (const [how, padded] of Object.entries(turns))
  test(`zeros around negative numbers count in a maximum, on onnxruntime too${how}`, async () => {
    const file = sketch(
      [
        ['Conv', ['x', 'w'], ['c']],
        ...padded,
        ['MaxPool', ['p'], ['m'], { kernel_shape: [3, 3], strides: [1, 1] }],
        ['Flatten', ['m'], ['y']],
      ],
      {
        weights: {
          w: float32([2, 3, 1, 1], [-1, -1, -1, -2, -2, -2]),
          pads: int64([8], [0, 0, 1, 1, 0, 0, 1, 1]),
          lastPads: int64([8], [0, 1, 1, 0, 0, 1, 1, 0]),
          zero: float32([], [0]),
        },
      },
    );
    const { model } = importFile(file, 'm');
    const input = float32([1, 3, 2, 2], new Array<number>(12).fill(1));
    const engine = await createEngine('ort', { threads: 1 });
    try {
      const program = await engine.compile(bindInputs(model.graph, model.parameters), { inference: true });
      const [output] = Object.values(await program.run({ input }));
      assert.deepEqual([...output!.data], new Array<number>(8).fill(0));
      await program.close();
    } finally {
      await engine.close();
    }
  });
