import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { temporaryFolder } from '../../testing/image-files.js';
import { sketch } from '../../testing/sketch.js';
import { importFile, unquantisedBeside } from '../import.js';

const refused = (op: string, file: string, message: RegExp): void =>
  assert.throws(() => importFile(sketch([[op, ['x'], ['y']]]), file, { unquantised: unquantisedBeside(file) }), {
    code: 'unsupported',
    message,
  });

test('a quantised file is refused with the name of the whole one beside it', async (t) => {
  const folder = await temporaryFolder(t);
  const file = join(folder, 'model_q4.onnx');
  const none = /has weights of 4 bits .* take the file that is not quantised \(model\.onnx or model_fp16\.onnx/;
  refused('com.microsoft.MatMulNBits', file, none);
  writeFileSync(join(folder, 'model_fp16.onnx'), '');
  refused('com.microsoft.MatMulNBits', file, /take model_fp16\.onnx, which stands beside it/);
  writeFileSync(join(folder, 'model.onnx'), '');
  refused('com.microsoft.MatMulNBits', file, /take model\.onnx, which stands beside it/);
  const dynamic = /has weights of 8 bits, made by dynamic quantisation \(the node .* take model\.onnx, which/;
  for (const op of ['DynamicQuantizeLinear', 'MatMulInteger', 'ConvInteger', 'com.microsoft.DynamicQuantizeMatMul'])
    refused(op, join(folder, 'model_quantized.onnx'), dynamic);
  refused('QLinearMatMul', join(folder, 'model_int8.onnx'), /8-bit integers throughout .* take model\.onnx/);
  refused('QLinearMatMul', join(folder, 'model.onnx'), /take the file that is not quantised .* or one in QDQ format/);
});

test('files made for one processor, and recurrent layers, are refused with what to do', () => {
  refused(
    'com.microsoft.nchwc.Conv',
    'm.onnx',
    /optimised by onnxruntime for one kind of processor.*take the file that/,
  );
  for (const op of ['GRU', 'RNN'])
    refused(op, 'm.onnx', /is a recurrent layer \((GRU|RNN)\).*use a network without it/);
});
