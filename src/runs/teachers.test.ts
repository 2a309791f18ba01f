import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { GraphBuilder } from '../graph/builder.js';
import { distill } from '../jobs/distill.js';
import { resolveModel } from '../models/index.js';
import { encodeGraph } from '../onnx/index.js';
import { float32 } from '../tensor.js';
import { blobs } from '../testing/blobs.js';
import { temporaryFolder } from '../testing/image-files.js';
import { collect } from '../testing/kit.js';
import type { RunEvent, TrainResult } from './events.js';
import type { TrainOptions } from './resolve.js';
import { train } from './train.js';

const encoder = fileURLToPath(new URL('../../fixtures/encoders/dinov2', import.meta.url));

/** Red and blue images, which a teacher that sees bytes tells apart by how much red there is. */
const data = blobs({ train: 10, val: 4 }, 150);

/**
 * The file of a classifier that takes 12x12 pixels as bytes. Its scores are (red - 150) / 10 for
 * each of `weights`, or one sigmoid of it; red is its channel `red`.
 */
async function writeTeacher(
  t: TestContext,
  { weights = [1, -1], red = 0, sigmoid = false }: { weights?: number[]; red?: number; sigmoid?: boolean } = {},
): Promise<string> {
  const builder = new GraphBuilder('foreign');
  const pixels = builder.input('pixel_values', 'float32', ['N', 3, 12, 12]);
  const mean = builder.op('Flatten', [builder.op('GlobalAveragePool', [pixels])], { axis: 1 });
  const matrix = weights.flatMap((weight) => [0, 1, 2].map((channel) => (channel === red ? weight / 10 : 0)));
  const scores = builder.op(
    'Gemm',
    [
      mean,
      builder.constant(float32([weights.length, 3], matrix), 'constant'),
      builder.constant(
        float32(
          [weights.length],
          weights.map((weight) => -15 * weight),
        ),
      ),
    ],
    { transB: 1 },
  );
  builder.outputs({ scores: sigmoid ? builder.op('Sigmoid', [scores]) : scores });
  const folder = await temporaryFolder(t);
  const path = join(folder, 'teacher.onnx');
  await writeFile(path, encodeGraph(builder.build()));
  return path;
}

const student = { model: 'convnet-small', size: 16, batchSize: 10, epochs: 1, flip: false, threads: 1, workers: 0 };

async function taught(
  t: TestContext,
  teacher: string,
  options: TrainOptions,
): Promise<{ result: TrainResult; warnings: string[] }> {
  const out = join(await temporaryFolder(t), 'run');
  const { result, events } = await collect<RunEvent, TrainResult>(
    distill(data, { ...student, teachers: [teacher], out, ...options }),
  );
  return { result, warnings: events.flatMap((event) => (event.type === 'warning' ? [event.message] : [])) };
}

test('a foreign teacher sees images as it is told, whatever the student sees', async (t) => {
  const teacher = await writeTeacher(t);
  for (const augment of ['none', 'basic']) {
    const { result, warnings } = await taught(t, teacher, { teacherNormalize: 'bytes', augment });
    assert.ok(result.val!.count > 0);
    assert.deepEqual(warnings, []);
    const { backbone, teachers } = await resolveModel(result.run);
    assert.deepEqual([backbone, teachers], [undefined, [{ name: 'teacher.onnx', licence: null }]]);
    const card = await readFile(join(result.run, 'model-card.md'), 'utf8');
    assert.match(card, /learned from teacher\.onnx, whose licence is unknown/);
  }
  await assert.rejects(taught(t, teacher, {}), {
    code: 'bad-data',
    message: /right on \d+ of 20 labelled images, no better than chance .*`teacherNormalize`, `teacherChannels`/,
  });
});

test('a teacher of which nothing says how images are prepared is told of, with its own option', async (t) => {
  const teacher = await writeTeacher(t);
  const run = distill(data, { ...student, teachers: [teacher], out: join(await temporaryFolder(t), 'run') });
  const said: string[] = [];
  await assert.rejects(async () => {
    for await (const event of run) if (event.type === 'warning') said.push(event.message);
  });
  assert.match(said.join(), /^teacher .*teacher\.onnx: does not say how images are prepared.*`teacherNormalize`/);
});

test('a teacher that takes blue first is given it first', async (t) => {
  const teacher = await writeTeacher(t, { red: 2 });
  await taught(t, teacher, { teacherNormalize: 'bytes', teacherChannels: 'bgr' });
  await assert.rejects(taught(t, teacher, { teacherNormalize: 'bytes' }), { code: 'bad-data' });
});

test('a teacher with one sigmoid scores the second class', async (t) => {
  const teacher = await writeTeacher(t, { weights: [-1], sigmoid: true });
  await taught(t, teacher, { teacherNormalize: 'bytes' });
  const other = await writeTeacher(t, { weights: [1], sigmoid: true });
  await assert.rejects(taught(t, other, { teacherNormalize: 'bytes' }), { code: 'bad-data', message: /chance/ });
});

test('the classes of a teacher are matched by name; one of other classes is refused', async (t) => {
  const teacher = await writeTeacher(t, { weights: [-1, 0, 1] });
  const names = join(await temporaryFolder(t), 'names.txt');
  await writeFile(names, 'blue\ngreen\nred\n');
  await taught(t, teacher, { teacherNormalize: 'bytes', teacherClassNames: names });
  await assert.rejects(taught(t, teacher, { teacherNormalize: 'bytes' }), {
    code: 'bad-data',
    message: /has 3 outputs without names, the data has 2 classes .*`teacherClassNames`/,
  });
  await writeFile(names, 'ant\nbee\nwasp\n');
  await assert.rejects(taught(t, teacher, { teacherNormalize: 'bytes', teacherClassNames: names }), {
    code: 'bad-data',
    message: /does not know the classes red, blue of the data \(it knows ant, bee, wasp\)/,
  });
  await writeFile(names, 'ant\nbee\n');
  await assert.rejects(taught(t, teacher, { teacherNormalize: 'bytes', teacherClassNames: names }), {
    code: 'bad-data',
    option: 'teacherClassNames',
    message: /has 3 classes, `teacherClassNames` names 2/,
  });
});

test('an encoder is no teacher: it knows no classes', async (t) => {
  await assert.rejects(taught(t, encoder, {}), {
    code: 'bad-model',
    option: 'teachers',
    message: /dinov2: an encoder, which has no classifier; train a probe on it first and give that run instead$/,
  });
});

const consensus = { model: encoder, mode: 'consensus', labelsPerClass: 5, threads: 1, workers: 0 } as const;

/** Events of a consensus of blobs with a teacher beside a small run. */
async function agreed(
  t: TestContext,
  teachers: readonly string[],
  options: TrainOptions = {},
): Promise<{ result: TrainResult; run: string; warnings: string[] }> {
  const out = join(await temporaryFolder(t), 'run');
  const { result, events } = await collect<RunEvent, TrainResult>(
    train(data, { ...consensus, teachers, out, ...options }),
  );
  return { result, run: out, warnings: events.flatMap((event) => (event.type === 'warning' ? [event.message] : [])) };
}

test('a consensus looks at the features of teachers, whatever their input and their classes', async (t) => {
  const threeClasses = await writeTeacher(t, { weights: [-1, 0, 1] });
  const { result, run } = await agreed(t, [encoder, threeClasses], { teacherNormalize: 'bytes' });
  assert.equal(result.val!.top1, 1);
  const opinions = (await readFile(join(run, 'metrics.jsonl'), 'utf8'))
    .split('\n')
    .filter((line) => line.includes('"opinion"'))
    .map((line) => JSON.parse(line) as { name: string; networks: string[] });
  const views = [...new Set(opinions.map(({ networks }) => networks.join(' + ')))];
  const [together, own] = views;
  assert.deepEqual(views, [together, own, encoder, threeClasses]);
  assert.equal(together, [own, encoder, threeClasses].join(' + '), 'all side by side, and each alone');
  assert.ok(opinions.filter(({ networks }) => networks.join() === threeClasses).length >= 2);
});

test('a consensus refuses a teacher without features or weights', async (t) => {
  const builder = new GraphBuilder('no last layer');
  const pixels = builder.input('pixel_values', 'float32', ['N', 3, 12, 12]);
  const means = builder.op('Flatten', [builder.op('GlobalAveragePool', [pixels])], { axis: 1 });
  builder.outputs({ scores: builder.op('Softmax', [means], { axis: 1 }) });
  const path = join(await temporaryFolder(t), 'bare.onnx');
  await writeFile(path, encodeGraph(builder.build()));
  await assert.rejects(agreed(t, [path], { teacherNormalize: 'bytes' }), {
    code: 'bad-model',
    option: 'teachers',
    message: /^teacher .*bare\.onnx: no features were found in front of its scores/,
  });
  await assert.rejects(agreed(t, ['resnet20']), {
    option: 'teachers',
    message: /a built-in network is untrained/,
  });
});
