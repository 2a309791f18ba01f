import assert from 'node:assert/strict';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { exportModel } from '../artifact/export.js';
import { encodePng } from '../image/decode.js';
import { openDataset } from '../data/dataset.js';
import { inspectImages } from '../data/describe.js';
import { createPool, type Pool } from '../data/pool.js';
import { labelErrorsIn, type LabelErrors } from '../jobs/label-errors.js';
import { buildModel } from '../models/index.js';
import { pupil } from '../testing/command-line.js';
import { blob, temporaryFolder, writeTree } from '../testing/image-files.js';

test('doctor with a model ranks labels that are likely wrong, and draws them', async (t) => {
  const folder = await temporaryFolder(t);
  const photos: Record<string, Uint8Array> = {};
  for (const [channel, name] of ['red', 'green', 'blue'].entries())
    for (let i = 0; i < 12; i++) photos[`photos/${name}/${i}.png`] = await encodePng(blob(channel, 12 * channel + i));
  photos['photos/red/wrong.png'] = await encodePng(blob(2, 100));
  photos['photos/green/wrong.png'] = await encodePng(blob(0, 101));
  await writeTree(folder, photos);
  const data = join(folder, 'photos'),
    model = join(folder, 'network.onnx'),
    out = join(folder, 'check');
  writeFileSync(model, exportModel(buildModel('convnet-small', { labels: ['x', 'y'], seed: 1, inputSize: 24 }), {}));
  const { code, out: text, err } = await pupil('doctor', data, '--model', model, '--engine', 'ort', '--out', out);
  assert.equal(code, 0, err);
  assert.match(text, /labels {5}38 compared with what a model says that did not learn them: \d+\.\d% agree/);
  const saved = JSON.parse(readFileSync(join(out, 'doctor.json'), 'utf8')) as { labelErrors: LabelErrors };
  const first = saved.labelErrors.images.slice(0, 4);
  for (const [path, suggested] of [
    [join(data, 'red/wrong.png'), 'blue'],
    [join(data, 'green/wrong.png'), 'red'],
  ])
    assert.ok(
      first.some((image) => image.path === path && image.suggested === suggested && image.suspect),
      path,
    );
  assert.ok(existsSync(join(out, 'label-errors.png')));

  const useless = await pupil('doctor', data, '--size', '32');
  assert.deepEqual([useless.code, /--size has no use without a --model/.test(useless.err)], [2, true]);
  const alone = join(folder, 'alone.csv');
  writeFileSync(alone, `path,label\n${data}/red/1.png,red\n${data}/blue/1.png,blue\n`);
  const few = await pupil('doctor', alone, '--model', model);
  assert.deepEqual([few.code, /label at least two images of two classes/.test(few.err)], [2, true], few.err);
});

test('what a model looked at is measured with it, and no content is decoded twice', async (t) => {
  const folder = await temporaryFolder(t);
  const photos: Record<string, Uint8Array> = {};
  for (const channel of [0, 1])
    for (let i = 0; i < 5; i++) photos[`photos/${channel}/${i}.png`] = await encodePng(blob(channel, 12 * channel + i));
  photos['photos/0/again.png'] = photos['photos/0/1.png']!;
  photos['photos/1/broken.png'] = photos['photos/1/1.png']!.subarray(0, 200);
  photos['more/5.png'] = await encodePng(blob(2, 5));
  await writeTree(folder, photos);
  const model = join(folder, 'network.onnx');
  writeFileSync(model, exportModel(buildModel('convnet-small', { labels: ['x', 'y'], seed: 1, inputSize: 24 }), {}));
  const dataset = await openDataset(join(folder, 'photos'), { unlabelled: [join(folder, 'more')] });
  const options = { workers: 0, cacheFolder: join(folder, 'cache') } as const;
  const plain = await inspectImages(dataset, createPool(options));
  const pool = createPool({ ...options, cacheFolder: join(folder, 'other'), measure: true });
  const decoded: string[] = [];
  const counted: Pool = {
    ...pool,
    run(task) {
      if (task.kind === 'decode') decoded.push(...task.items.map(({ path }) => path));
      return pool.run(task);
    },
  };
  await labelErrorsIn(dataset, { model, engine: 'ort' }, counted);
  assert.deepEqual(await inspectImages(dataset, counted), plain);
  assert.equal(plain.unreadable.length, 1);
  assert.equal(plain.sizes.size, 12);
  const once = new Set(decoded.filter((path) => !path.endsWith('broken.png')));
  assert.equal(decoded.filter((path) => !path.endsWith('broken.png')).length, once.size);
  assert.equal(once.size, 11);
});
