import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { exportModel } from '../artifact/export.js';
import { readProvenance } from '../artifact/provenance.js';
import { runFiles } from '../artifact/run-files.js';
import { loadModel } from '../evaluate/load.js';
import { resolveModel } from '../models/index.js';
import { pick } from '../options/option.js';
import { blobBackbone } from '../testing/blob-backbone.js';
import { blobs, blobTraining as shared } from '../testing/blobs.js';
import { blob, temporaryFolder } from '../testing/image-files.js';
import { useOwnCache } from '../testing/kit.js';
import { learn } from './learn/learn.js';

useOwnCache();

test('which images are of none of the classes is learned once, for the model that is kept', async (t) => {
  const out = join(await temporaryFolder(t), 'run');
  const whole = await learn(blobs({ train: 8, val: 30, test: 4 }), {
    ...shared,
    epochs: 2,
    rungs: ['supervised', 'augmentation'],
    out,
  });
  const kept = whole.rungs.filter((rung) => rung.kept).at(-1)!;
  for (const { run } of whole.rungs) assert.equal((await resolveModel(join(out, run!))).rejection, undefined);
  const model = await resolveModel(out);
  assert.deepEqual(model.rejection?.means.dims, [model.head!.featureCount, 2]);
  // What it says of images is what it said before.
  const pictures = [0, 1, 2].map((seed) => blob(2 * (seed % 2), seed));
  const said = await Promise.all(
    [out, join(out, kept.run!)].map(async (run) => {
      await using classifier = await loadModel(run, { engine: 'ort' });
      return (await classifier.predict(pictures)).map(({ probabilities }) => probabilities['red']!);
    }),
  );
  said[0]!.forEach((value, i) => assert.ok(Math.abs(value - said[1]![i]!) < 1e-5));
  assert.deepEqual(await readProvenance(out), await readProvenance(join(out, kept.run!)));
  const without = join(out, '..', 'without');
  await learn(blobs({ train: 8, val: 30 }), {
    ...shared,
    epochs: 1,
    rungs: ['supervised'],
    rejection: false,
    out: without,
  });
  assert.equal((await resolveModel(without)).rejection, undefined);
});

test('what a training found of images in two splits is in the report of the job', async (t) => {
  const out = join(await temporaryFolder(t), 'run'),
    data = blobs({ train: 4, val: 4 });
  const { rungs } = await learn(data, { ...shared, epochs: 1, rungs: ['supervised'], out });
  const [first, second] = ['train', 'val'].map((split) => ({ path: `blobs/${split}/0`, split }));
  const found = { count: 1, pairs: [{ first: first!, second: second!, samePixels: true }] };
  await runFiles.alike.write(join(out, rungs[0]!.run!), found);
  await learn(data, { resume: out, threads: 1, workers: 0 });
  assert.deepEqual(await runFiles.alike.read(out), found);
  assert.match(await readFile(join(out, 'report.html'), 'utf8'), /Images in two splits/);
});

test('the card of a job states the licence of the network that its model comes from', async (t) => {
  const at = await temporaryFolder(t);
  const options = await blobBackbone(join(at, 'backbone'));
  const own = await resolveModel(join(at, 'backbone'));
  const given = { ...own, backbone: { name: 'someone/net', licence: 'cc-by-nc-4.0' } };
  await writeFile(join(at, 'net.onnx'), exportModel(given, {}));
  const out = join(at, 'run');
  await learn(blobs({ train: 8, val: 8 }), {
    ...pick(options, ['size', 'threads', 'workers', 'seed']),
    model: join(at, 'net.onnx'),
    rungs: ['probe'],
    out,
  });
  assert.match(await readFile(join(out, 'model-card.md'), 'utf8'), /net, has the licence cc-by-nc-4\.0, which also/);
});
