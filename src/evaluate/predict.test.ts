import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { exportModel } from '../artifact/export.js';
import { encodePng } from '../image/decode.js';
import { imageOf } from '../image/image.js';
import { buildModel } from '../models/index.js';
import { Random } from '../random.js';
import { temporaryFolder } from '../testing/image-files.js';
import { tenViews } from './classifier.js';
import { loadModel } from './load.js';
import { predictFiles } from './predict-files.js';

const picture = (seed: number) => {
  const random = new Random(seed, 'picture');
  return imageOf(
    48,
    40,
    Uint8Array.from({ length: 48 * 40 * 3 }, () => random.integer(256)),
  );
};
const model = exportModel(buildModel('resnet8', { labels: ['cat', 'dog', 'bird'], seed: 3 }), {});

test('one picture gives one prediction, several give several, whatever form they have', async (t) => {
  const folder = await temporaryFolder(t),
    file = join(folder, 'model.onnx'),
    path = join(folder, 'a.png');
  await writeFile(file, model);
  await writeFile(path, await encodePng(picture(1)));
  await using classifier = await loadModel(file, { threads: 1 });
  const expected = await classifier.predict(picture(1));
  assert.equal(expected.confidence, expected.probabilities[expected.label]);
  const bytes = new Uint8Array(await readFile(path));
  const forms = [path, pathToFileURL(path), bytes, bytes.buffer, new Blob([bytes])];
  for (const form of forms) assert.deepEqual(await classifier.predict(form), expected);
  const many = await classifier.predict([...forms, picture(2)], { batchSize: 4 });
  assert.equal(many.length, 6);
  for (const one of many.slice(0, 5))
    for (const [label, p] of Object.entries(one.probabilities))
      assert.ok(Math.abs(p - expected.probabilities[label]!) < 1e-5, label);
  assert.deepEqual(await classifier.predict([]), []);
});

test('ten views are averaged', async (t) => {
  const file = join(await temporaryFolder(t), 'model.onnx');
  await writeFile(file, model);
  await using classifier = await loadModel(file, { threads: 1 });
  const views = tenViews(picture(1), classifier.preprocessing);
  const each = await classifier.predict(views);
  const [mean] = await classifier.predict([picture(1)], { views: 10 });
  for (const [label, p] of Object.entries(mean!.probabilities)) {
    const expected = each.reduce((sum, { probabilities }) => sum + probabilities[label]! / each.length, 0);
    assert.ok(Math.abs(p - expected) < 1e-5, `${label}: ${p}, expected ${expected}`);
  }
  assert.ok(views.length > 2);
});

test('what cannot be read is told; of folders it is left out', async (t) => {
  const folder = await temporaryFolder(t),
    file = join(folder, 'model.onnx'),
    images = join(folder, 'images');
  await writeFile(file, model);
  await mkdir(images);
  await writeFile(join(images, 'a.png'), await encodePng(picture(1)));
  await writeFile(join(images, 'b.png'), 'no picture');
  await using classifier = await loadModel(file, { threads: 1 });
  await assert.rejects(classifier.predict(join(folder, 'none.png')), { code: 'not-found', message: /none\.png/ });
  await assert.rejects(classifier.predict(join(images, 'b.png')), { code: 'bad-data', message: /b\.png/ });
  await assert.rejects(classifier.predict(new Uint8Array(4)), { code: 'bad-data' });
  const { predictions, unreadable } = await predictFiles(classifier, [images]);
  assert.deepEqual([predictions.length, unreadable.length], [1, 1]);
  assert.match(predictions[0]!.path, /a\.png$/);
});
