import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { runFiles } from '../../artifact/run-files.js';
import type { Dataset } from '../../data/sample.js';
import { train } from '../../runs/train.js';
import { blobs, blobTraining as shared } from '../../testing/blobs.js';
import { temporaryFolder } from '../../testing/image-files.js';
import { collect, useOwnCache } from '../../testing/kit.js';
import { learn, type LearnOptions, type LearnResult } from './learn.js';

useOwnCache();

const climb = async (data: Dataset, options: LearnOptions): Promise<LearnResult> =>
  (await collect(learn(data, options))).result;

test('an encoder of others climbs, too, and teaches a smaller network', async (t) => {
  const at = await temporaryFolder(t);
  const { run: student } = await train(blobs({ train: 20, val: 10 }), { ...shared, epochs: 2, out: join(at, 'small') });
  const encoder = (name: string): string =>
    fileURLToPath(new URL(`../../../fixtures/encoders/${name}.onnx`, import.meta.url));
  const { rungs: tried, test: tested } = await climb(blobs({ train: 20, test: 10 }, 150), {
    model: encoder('resnet-map'),
    normalize: 'imagenet',
    // The smaller network has a teacher of Pupil's own beside this one.
    teachers: [encoder('timm-vit')],
    teacherNormalize: 'symmetric',
    student,
    labelsPerClass: 3,
    studentEpochs: 1,
    threads: 1,
    workers: 0,
    engine: 'ort',
    out: join(at, 'run'),
  });
  const names = tried.map(({ name }) => name);
  assert.deepEqual([...names.slice(0, 3), names.at(-1)], ['probe', 'consensus', 'round 1', 'distillation']);
  for (const { selection, name } of tried) assert.equal(selection!.count, 6, name);
  assert.ok(tried.at(-1)!.parameters! > 0);
  assert.ok(tested!.top1 > 0);
  // What the steps of the smaller network leave to its looks is what those of its own take.
  const { besideSeconds, leastSeconds } = (await runFiles.plan.read(join(at, 'run')))!.rungs.at(-1)!;
  assert.ok(besideSeconds! > 0 && besideSeconds! < leastSeconds!);
});

test('without unlabelled images a pretrained smaller network is taught on the labels alone', async (t) => {
  const at = await temporaryFolder(t);
  const pretrained = async (model: string): Promise<string> =>
    (await train(blobs({ train: 20, val: 10 }), { ...shared, mode: 'scratch', model, epochs: 1, out: join(at, model) }))
      .run;
  const { rungs: tried } = await climb(blobs({ train: 6, test: 5 }, 150), {
    ...{ model: await pretrained('convnet-small'), student: await pretrained('resnet8') },
    ...{ rungs: ['probe', 'distillation'], studentEpochs: 1, threads: 1, workers: 0, engine: 'ort' },
    out: join(at, 'run'),
  });
  const outcomes = tried.map(({ name, model, kept, selection }) => ({ name, model, kept, count: selection!.count }));
  assert.deepEqual(outcomes, [
    { name: 'probe', model: 'convnet-small', kept: true, count: 12 },
    { name: 'distillation', model: 'resnet8', kept: true, count: 12 },
  ]);
  assert.match(tried[1]!.reason!, /and smaller: /);
  assert.ok(tried[1]!.parameters! < tried[0]!.parameters!);
});
