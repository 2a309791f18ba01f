import assert from 'node:assert/strict';
import { test } from 'node:test';
import { strToU8, unzipSync } from 'fflate';
import { zipped } from './zip.js';

test('a ZIP archive has all files in one folder, and is the same each time', () => {
  const files = new Map<string, Uint8Array | string>([
    ['README.md', '# Ants\n'],
    ['onnx/model.onnx', Uint8Array.from({ length: 1000 }, (_, i) => (i * 37) % 251)],
    ['ü/空.txt', 'a'.repeat(50_000)],
    ['empty', ''],
  ]);
  const archive = zipped('ants', files);
  assert.deepEqual(
    unzipSync(archive),
    Object.fromEntries(
      [...files].map(([path, content]) => [`ants/${path}`, typeof content === 'string' ? strToU8(content) : content]),
    ),
  );
  assert.ok(archive.length < 2500, `${archive.length} bytes: letters that repeat take no room`);
  assert.deepEqual(zipped('ants', files), archive);
});
