import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PupilError } from '../../errors.js';
import type { OnnxFile } from '../../onnx/index.js';
import { numbersOf, int64 } from '../../tensor.js';
import { ramp, run, sketch } from '../../testing/sketch.js';
import { importFile } from '../import.js';

const nodes: Parameters<typeof sketch>[0] = [
  ['Conv', ['x', 'w'], ['c']],
  ['Relu', ['c'], ['r']],
  ['GlobalAveragePool', ['r'], ['p']],
  ['Flatten', ['p'], ['y']],
];
const weights = { w: ramp(4, 3, 1, 1) };
const withOutputs = (file: OnnxFile, ...names: string[]): OnnxFile => ({
  ...file,
  graph: { ...file.graph, outputs: names.map((name) => ({ name, dtype: undefined, shape: undefined })) },
});

test('nodes in any order are the same network', () => {
  const expected = run(sketch(nodes, { weights }));
  assert.deepEqual(run(sketch([...nodes].reverse(), { weights })), expected);
  assert.deepEqual(run(sketch([nodes[2]!, nodes[0]!, nodes[3]!, nodes[1]!], { weights })), expected);
  const circle: typeof nodes = [
    ['Add', ['x', 'b'], ['a']],
    ['Relu', ['a'], ['b']],
    ['Flatten', ['b'], ['y']],
  ];
  assert.throws(() => run(sketch(circle)), { code: 'bad-model', message: /reads "b", which nothing before it makes/ });
});

test('what the model does not need may hold anything: strings, unknown ops, other inputs', () => {
  const expected = run(sketch(nodes, { weights }));
  const strange = sketch(
    [
      ...nodes,
      ['ArgMax', ['y'], ['best'], { axis: 1 }],
      ['Gather', ['names', 'best'], ['label']],
      ['com.example.Mystery', ['c'], ['m']],
    ],
    { weights },
  );
  const strings = new PupilError('unsupported', 'm: the tensor "names" holds strings');
  const file: OnnxFile = { ...strange, graph: { ...strange.graph, unusable: new Map([['names', strings]]) } };
  assert.deepEqual(run(withOutputs(file, 'label', 'y', 'm')), expected);
  assert.throws(() => run(withOutputs(file, 'label')), { message: /holds strings/ });
  assert.throws(() => run(withOutputs(file, 'm')), { code: 'unsupported', message: /the op com\.example\.Mystery/ });
  assert.throws(() => importFile(withOutputs(file, 'y', 'm'), 'm', { modelOutput: 'm' }), { message: /Mystery/ });
});

test('to the end, 2^63 - 1, is the end in every opset', () => {
  const end = 2 ** 63; // as the largest 64-bit integer is read from an attribute
  const old = sketch(
    [
      ['Slice', ['x'], ['s'], { axes: [2], starts: [1], ends: [end] }],
      ['Flatten', ['s'], ['y']],
    ],
    { opset: 9 },
  );
  const constant = sketch(
    [
      ['Constant', [], ['ends'], { value_ints: [end] }],
      ['Slice', ['x', 'starts', 'ends', 'axes'], ['s']],
      ['Flatten', ['s'], ['y']],
    ],
    { weights: { starts: int64([1], [1]), axes: int64([1], [2]) } },
  );
  const data = numbersOf(ramp(2, 3, 2, 2));
  const expected = data.filter((_, i) => Math.floor(i / 2) % 2 === 1);
  assert.deepEqual(run(old), expected);
  assert.deepEqual(run(constant), expected);
});
