/** Files that onnxruntime itself optimises are the network that they were made from. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'node:test';
import * as native from 'pupil-onnxruntime';
import { decodeOnnx } from '../../onnx/index.js';
import { numbersOf } from '../../tensor.js';
import { temporaryFolder } from '../../testing/image-files.js';
import { assertClose, logitsOf, ramp } from '../../testing/sketch.js';
import { importFile } from '../import.js';

const fixtures = fileURLToPath(new URL('../../../fixtures/', import.meta.url));

for (const [file, fused] of [
  ['onnx/torchscript-17.onnx', 'FusedConv'],
  ['encoders/resnet-map.onnx', 'FusedConv'],
  ['encoders/timm-vit.onnx', 'BiasGelu'],
  ['encoders/dinov3-vit.onnx', 'FusedMatMul'],
] as const) {
  test(`${file}, optimised by onnxruntime, gives the same`, async (t) => {
    const whole = await readFile(join(fixtures, file)),
      optimised = join(await temporaryFolder(t), 'optimised.onnx');
    const session = await native.InferenceSession.create(whole, {
      graphOptimizationLevel: 'extended',
      optimizedModelFilePath: optimised,
      logSeverityLevel: 4,
    });
    await session.release();
    const made = decodeOnnx(await readFile(optimised), { name: 'optimised.onnx' });
    assert.ok(
      made.graph.nodes.some(({ op }) => op === fused),
      [...new Set(made.graph.nodes.map(({ op }) => op))].join(' '),
    );
    const [expected, { model }] = [importFile(decodeOnnx(whole, { name: file }), file), importFile(made, file)];
    const [height, width] = model.preprocessing.size,
      x = ramp(2, 3, height, width);
    const answers = numbersOf(logitsOf(expected.model, x));
    assertClose(numbersOf(logitsOf(model, x)), answers, 1e-5 * Math.max(1, ...answers.map(Math.abs)));
    assert.equal(model.head?.classes, expected.model.head?.classes);
  });
}

test('quantisation in the domain of onnxruntime is the same', async () => {
  const file = decodeOnnx(await readFile(join(fixtures, 'onnx/qdq-int8.onnx')), { name: 'qdq-int8.onnx' });
  const nodes = file.graph.nodes.map((node) =>
    /quantizelinear$/i.test(node.op) ? { ...node, domain: 'com.microsoft' } : node,
  );
  assert.ok(nodes.some(({ domain }) => domain === 'com.microsoft'));
  const [expected, actual] = [file, { ...file, graph: { ...file.graph, nodes } }].map((each) => {
    const { model } = importFile(each, 'qdq-int8.onnx'),
      [height, width] = model.preprocessing.size;
    return numbersOf(logitsOf(model, ramp(1, 3, height, width)));
  });
  assert.deepEqual(actual, expected);
});
