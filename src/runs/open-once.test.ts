import assert from 'node:assert/strict';
import { copyFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { temporaryFolder } from '../testing/image-files.js';
import { openOnce } from './open-once.js';

test('a model that is named is opened once for each way of reading it, its notes are given each time', async (t) => {
  const folder = await temporaryFolder(t);
  const [path, moved] = [join(folder, 'model.onnx'), join(folder, 'moved.onnx')];
  const open = openOnce([path, undefined]);
  const notes: string[] = [];
  const warn = (note: string): number => notes.push(note);
  await assert.rejects(open(path, { labels: ['a', 'b'], warn }), { code: 'not-found' });
  await copyFile(fileURLToPath(new URL('../../fixtures/encoders/resnet-map.onnx', import.meta.url)), path);
  const model = await open(path, { labels: ['a', 'b'], warn });
  const told = [...notes];
  assert.ok(told.length > 0);
  await rename(path, moved);
  assert.equal(await open(path, { labels: ['a', 'b'], warn }), model);
  assert.deepEqual(notes, [...told, ...told]);
  await assert.rejects(open(path, { labels: ['a', 'b', 'c'] }), { code: 'not-found' });
  // What is not named may change under its name.
  const other = { labels: ['a', 'b'] };
  assert.notEqual(await open(moved, other), await open(moved, other));
});
