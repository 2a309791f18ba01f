/** Ops that are written out in others give what onnxruntime gives, and have right gradients. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as native from 'pupil-onnxruntime';
import { GraphBuilder } from '../../graph/builder.js';
import { rules } from '../../graph/inference/rules.js';
import { inline } from '../../graph/inline.js';
import { specialise } from '../../graph/passes.js';
import { encodeGraph } from '../../onnx/encode.js';
import { isPlainAttribute, type OnnxFile } from '../../onnx/index.js';
import type { PlainAttribute } from '../../onnx/model.js';
import { int64, numbersOf } from '../../tensor.js';
import { assertGradients } from '../../testing/differences.js';
import { assertClose, logitsOf, ramp, sketch } from '../../testing/sketch.js';
import { writtenOutRows, type Nodes, type Row } from '../../testing/written-out-rows.js';
import { importFile } from '../import.js';
import { converters } from './converters.js';

const x = ramp(2, 3, 4, 4);

function fileOf({ weights: given = {}, opset = 20 }: Row, nodes: Nodes): OnnxFile {
  return sketch([['Reshape', ['x', 'tokens'], ['t']], ...nodes, ['Flatten', ['o'], ['y']]], {
    weights: { ...given, tokens: int64([3], [0, 6, 8]) },
    opset,
    inputs: [{ name: 'x', dtype: 'float32', shape: ['N', 3, 4, 4] }],
  });
}

/** What onnxruntime computes. */
async function byRuntime({ graph, opsets }: OnnxFile): Promise<number[]> {
  const plain = (attributes: OnnxFile['graph']['nodes'][number]['attributes']): Record<string, PlainAttribute> =>
    Object.fromEntries(
      Object.entries(attributes).filter((entry): entry is [string, PlainAttribute] => isPlainAttribute(entry[1])),
    );
  const bytes = encodeGraph(
    {
      name: 'row',
      inputs: [{ name: 'x', dtype: 'float32', shape: x.dims }],
      outputs: ['y'],
      nodes: graph.nodes.map((node) => ({ ...node, attributes: plain(node.attributes) })),
      constants: graph.initializers,
      values: new Map([['y', { name: 'y', dtype: 'float32', shape: ['A', 'B'] }]]),
    },
    { opset: opsets.get('')! },
  );
  const session = await native.InferenceSession.create(bytes, { logSeverityLevel: 4 });
  try {
    const { y } = await session.run({ x: new native.Tensor('float32', x.data, x.dims) });
    return Array.from(y!.data as Float32Array);
  } finally {
    await session.release();
  }
}

/** Other names of ops that are tested. */
const alike = [
  'Scatter',
  'Upsample',
  'CastLike',
  'com.microsoft.NhwcFusedConv',
  'com.microsoft.QuantizeLinear',
  'com.microsoft.DequantizeLinear',
  'com.microsoft.TransposeMatMul',
];

test('every op that is written out has a row', () => {
  const tested = new Set(Object.values(writtenOutRows).flatMap(({ nodes }) => nodes.map(([op]) => op)));
  const writtenOut = [...converters.keys()].filter((op) => !rules.has(op) || op === 'Einsum');
  assert.deepEqual(
    writtenOut.filter((op) => !tested.has(op) && !alike.includes(op)),
    [],
  );
});

test('a few stored numbers that are cut up and joined are data, not sizes', () => {
  const file = sketch(
    [
      ['Slice', ['cell.bias', 'one', 'two'], ['back']],
      ['Slice', ['cell.bias', 'none', 'one'], ['front']],
      ['Concat', ['back', 'front'], ['b'], { axis: 0 }],
      ['Unsqueeze', ['b', 'none'], ['row']],
      ['Flatten', ['x'], ['f']],
      ['MatMul', ['f', 'w'], ['m']],
      ['Add', ['m', 'row'], ['y']],
    ],
    {
      weights: {
        'cell.bias': ramp(2),
        'w': ramp(12, 2),
        'none': int64([1], [0]),
        'one': int64([1], [1]),
        'two': int64([1], [2]),
      },
    },
  );
  assert.ok(importFile(file, 'cut').model.parameters.has('cell.bias'));
});

for (const [name, row] of Object.entries(writtenOutRows)) {
  test(`${name} gives what onnxruntime gives, and its gradient is right`, async () => {
    const { model } = importFile(fileOf(row, row.nodes), name);
    assertClose(numbersOf(logitsOf(model, x)), await byRuntime(fileOf(row, row.plain ?? row.nodes)), 2e-5);
    const left = model.graph.nodes.find(({ op, domain }) => domain !== '' || name.split(/[ ,]/)[0] === op);
    assert.ok(left === undefined || name.startsWith('LRN') || name.startsWith('Gelu'), `${left?.op} is left`);
    const builder = new GraphBuilder(name),
      output = Object.values(inline(builder, specialise(model.graph, { N: 2 }), {}))[0]!;
    const factors = builder.constant(ramp(...(output.shape as number[])));
    const loss = builder.op('ReduceSum', [builder.op('Mul', [output, factors])], { keepdims: 0 });
    assertGradients(
      { builder, wrt: builder.inputs, loss, feeds: { input: x, ...Object.fromEntries(model.parameters) } },
      name,
      5,
    );
  });
}
