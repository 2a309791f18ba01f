import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { create, toBinary } from '@bufbuild/protobuf';
import { refused } from '../testing/kit.js';
import { ModelProtoSchema, TensorProto_DataLocation } from './generated/onnx_pb.js';
import { readOnnx } from './read.js';

/** Weights of ONNX files that lie in other files. */

let root: string;
/** The model's folder; `secret` lies beside it. */
let folder: string;
before(() => {
  root = mkdtempSync(join(tmpdir(), 'pupil-external-'));
  folder = join(root, 'model');
  mkdirSync(join(folder, 'below'), { recursive: true });
  for (const path of [join(root, 'secret'), join(folder, 'weights'), join(folder, 'below', 'weights')])
    writeFileSync(path, Buffer.alloc(100, 1));
  symlinkSync(join(root, 'secret'), join(folder, 'link'));
  symlinkSync(root, join(folder, 'above'));
  symlinkSync('weights', join(folder, 'own'));
  symlinkSync('/dev/zero', join(folder, 'zero'));
  execFileSync('mkfifo', [join(folder, 'pipe')]);
});
after(() => rmSync(root, { recursive: true }));

/** Writes a model of tensors of 4 floats that all lie at this place. */
function write(location: string, entries: Readonly<Record<string, string>> = {}, tensors = 1): string {
  const path = join(folder, 'm.onnx');
  const externalData = Object.entries({ location, ...entries }).map(([key, value]) => ({ key, value }));
  const initializer = Array.from({ length: tensors }, (_, i) => ({
    ...{ name: `t${i}`, dataType: 1, dims: [4n], externalData, dataLocation: TensorProto_DataLocation.EXTERNAL },
  }));
  const model = { irVersion: 8n, opsetImport: [{ version: 17n }], graph: { name: 'g', initializer } };
  writeFileSync(path, toBinary(ModelProtoSchema, create(ModelProtoSchema, model)));
  return path;
}

const rows: readonly [what: string, location: string, entries: Readonly<Record<string, string>>, RegExp][] = [
  ['an absolute path', '/etc/passwd', {}, /which is not beside the model/],
  ['a path that climbs', '../secret', {}, /which is not beside the model/],
  ['a link to another folder', 'link', {}, /is a link to another folder/],
  ['a folder that is a link', 'above/secret', {}, /is a link to another folder/],
  ['a device', 'zero', {}, /is a link to another folder/],
  ['a pipe', 'pipe', {}, /is no file/],
  ['a folder', 'below', {}, /is no file/],
  ['nothing', 'gone', {}, /cannot be read/],
  ['a name with NUL', 'a\0b', {}, /cannot be read/],
  ['an absurd length', 'weights', { length: '1000000000000000' }, /has the length "1000000000000000"/],
  ['a negative length', 'weights', { length: '-4' }, /has the length "-4"/],
  ['another length', 'weights', { length: '20' }, /has 20 bytes in "weights", its shape needs 16/],
  ['a negative offset', 'weights', { offset: '-5' }, /has the offset "-5"/],
  ['an offset that is no number', 'weights', { offset: 'NaN' }, /has the offset "NaN"/],
  ['an absurd offset', 'weights', { offset: '900000000000000' }, /bytes up to 900000000000016 are needed/],
  ['the end of the file', 'weights', { offset: '90' }, /is 100 bytes long but bytes up to 106 are needed/],
];
for (const [what, location, entries, message] of rows)
  test(`external data at ${what} is refused in one line`, async () => {
    await assert.rejects(readOnnx(write(location, entries)), refused('bad-model', message));
  });

test('tensors may share bytes of an external file, but not make much of little', async () => {
  const shared = await readOnnx(write('weights', { offset: '0', length: '16' }, 20));
  assert.equal(shared.graph.initializers.size, 20);
  await assert.rejects(readOnnx(write('weights', {}, 30)), refused('bad-model', /lie over each other in "weights"/));
});

test('external data below the model, behind a link to its own folder, and beside what the model links to', async () => {
  for (const location of ['below/weights', 'own', 'weights']) await readOnnx(write(location));
  // The cache of the hub's clients: both are links, to files in one folder.
  const snapshot = join(root, 'snapshot');
  mkdirSync(snapshot);
  copyFileSync(write('weights'), join(folder, 'blob'));
  symlinkSync(join(folder, 'blob'), join(snapshot, 'm.onnx'));
  symlinkSync(join(folder, 'weights'), join(snapshot, 'weights'));
  await readOnnx(join(snapshot, 'm.onnx'));
});
