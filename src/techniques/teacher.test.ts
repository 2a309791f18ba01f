import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { Batch } from '../data/loader.js';
import type { Sample } from '../data/sample.js';
import type { Engine } from '../engine/engine.js';
import { createOrtEngine } from '../engine/ort/index.js';
import type { Model } from '../models/model.js';
import { float32 } from '../tensor.js';
import { tinyBatch, tinyGroups, tinyModel } from '../testing/tiny-model.js';
import { compileStep, openFeed } from '../train/runner.js';
import { buildTrainingStep } from '../train/step.js';
import { objectiveOf } from './index.js';
import {
  assertBetterThanChance,
  meanOpinion,
  openTeacher,
  resizePixels,
  teacherOf,
  teacherLogits,
  type Teacher,
} from './teacher.js';

let opened: Engine | undefined;
const engine = async (): Promise<Engine> => (opened ??= await createOrtEngine({ threads: 1 }));
after(() => opened?.close());

const named = (labels: readonly string[] | undefined): Model => ({
  ...tinyModel({ seed: 5, classes: labels?.length ?? 3 }),
  labels,
});
const pixelsOf = (indexes: readonly number[]): Uint8Array => tinyBatch(indexes).pixels.data as Uint8Array;

test('outputs are taken by name: another order, and classes that the data has not', async () => {
  const model = named(['fox', 'ant', 'cat', 'bee']);
  const pixels = pixelsOf([0, 1, 2, 3, 4]);
  const all = await openTeacher(await engine(), teacherOf('whole', model, model.labels!));
  const some = await openTeacher(await engine(), teacherOf('some', model, ['ant', 'bee', 'fox']));
  const whole = await all.logits(pixels.slice(), 5),
    chosen = await some.logits(pixels.slice(), 5);
  assert.deepEqual(
    [...chosen],
    [0, 1, 2, 3, 4].flatMap((row) => [1, 3, 0].map((column) => whole[row * 4 + column]!)),
  );
  await all.close();
  await some.close();
});

test('a teacher without names has as many outputs as there are classes; one with names knows them all', () => {
  assert.deepEqual(teacherOf('t', named(undefined), ['a', 'b', 'c']).columns, [0, 1, 2]);
  assert.throws(() => teacherOf('t', named(undefined), ['a', 'b']), {
    code: 'bad-data',
    message:
      /teacher t has 3 outputs without names, the data has 2 classes \(a, b\); name its classes with `teacherClassNames`/,
  });
  assert.throws(() => teacherOf('t', named(['a', 'b']), ['a', 'c', 'd']), {
    code: 'bad-data',
    message: /teacher t does not know the classes c, d of the data \(it knows a, b\)/,
  });
});

test('a teacher stays as it is while a student of its architecture trains, and is not in the store', async () => {
  const on = await engine(),
    model = named(['a', 'b', 'c']),
    before = new Map([...model.parameters].map(([name, { data }]) => [name, data.slice()]));
  const teacher = await openTeacher(on, teacherOf('teacher', model, ['a', 'b', 'c']));
  const asked = pixelsOf([0, 1, 2, 3]);
  const said = await teacher.logits(asked.slice(), 4);
  const student = tinyModel({ seed: 8 });
  const step = buildTrainingStep(student, {
    batchSize: 4,
    groups: tinyGroups(student),
    optimizer: { name: 'sgd' },
    seed: 1,
    average: { decay: 0.9 },
    objective: objectiveOf({ technique: 'distillation', temperature: 4, alpha: 0.9 }),
  });
  await on.write(step.initialState);
  const runner = await compileStep(on, step);
  const source = {
    stepsPerEpoch: 5,
    async *batches() {
      for (let i = 0; i < 5; i++) {
        const batch = tinyBatch([i, i + 1, i + 2, i + 3]);
        yield {
          feeds: { ...batch, teacher: float32([4, 3], await teacher.logits(pixelsOf([i, i + 1, i + 2, i + 3]), 4)) },
          files: [],
        };
      }
    },
  };
  const feed = openFeed(source, 0, 0);
  const losses: number[] = [];
  for (let i = 0; i < 5; i++) losses.push((await runner.run({ step: i, total: 5, learningRate: 0.05 }, feed)).loss);
  assert.ok(losses.every(Number.isFinite));
  assert.deepEqual([...(await teacher.logits(asked.slice(), 4))], [...said], 'it answers the same to the bit');
  for (const [name, { data }] of model.parameters) assert.deepEqual(data, before.get(name), name);
  const store = await on.read();
  assert.deepEqual([...store.keys()].sort(), [...step.initialState.keys()].sort(), 'the store holds the student alone');
  assert.notDeepEqual(
    [...(store.get('fc.weight')!.data as Float32Array)],
    [...(student.parameters.get('fc.weight')!.data as Float32Array)],
    'which has learned',
  );
  await feed.close();
  await runner.close();
  await teacher.close();
  await on.remove([...store.keys()]);
});

test('the opinion of several is the mean of their p_T', async () => {
  const answers = [
    [4, 0, -2, 1, 1, 0],
    [0, 3, 0, -1, 2, 5],
  ].map((logits) => Float32Array.from(logits));
  const softmax = (z: readonly number[], t: number): number[] => {
    const powers = z.map((x) => Math.exp(x / t)),
      sum = powers.reduce((a, b) => a + b);
    return powers.map((x) => x / sum);
  };
  for (const t of [1, 4]) {
    const mean = meanOpinion(answers, 2, t);
    for (const row of [0, 1]) {
      const rows = answers.map((logits) => softmax([...logits.subarray(row * 3, row * 3 + 3)], t));
      const p = softmax([...mean.subarray(row * 3, row * 3 + 3)], t);
      p.forEach((x, c) => assert.ok(Math.abs(x - (rows[0]![c]! + rows[1]![c]!) / 2) < 1e-6));
    }
  }
  assert.ok(
    meanOpinion([Float32Array.of(3e4, -3e4), Float32Array.of(3e4, -3e4)], 1, 1).every(Number.isFinite),
    'sure of it, and still a number',
  );
  // Kept answers are found by index, however often an image stands in a batch.
  const known = new Map([
    [7, Float32Array.of(1, 2)],
    [3, Float32Array.of(5, 6)],
  ]);
  const said = await teacherLogits(
    [{ known } as unknown as Teacher],
    { indexes: Int32Array.of(3, 7, 3) } as Batch,
    4,
    true,
  );
  assert.deepEqual([...said], [5, 6, 1, 2, 5, 6]);
});

test('guessing is told from knowing only where there are enough labels to tell', () => {
  const judged = (answers: readonly (readonly [label: number, said: number])[], classes: number): void =>
    assertBetterThanChance(
      {
        name: 'x',
        known: new Map(
          answers.map(([, said], i) => [i, Float32Array.from({ length: classes }, (_, c) => Number(c === said))]),
        ),
      } as unknown as Teacher,
      answers.map(([label]) => ({ label }) as Sample),
      classes,
    );
  const right = Array.from({ length: 20 }, (_, i) => [i % 2, i % 2] as const),
    same = right.map(([label]) => [label, 0] as const);
  judged(right, 2);
  assert.throws(() => judged(same, 2), {
    code: 'bad-data',
    message: /teacher x: right on 10 of 20 labelled images, no better than chance \(50%\); .*`teacherNormalize`/,
  });
  judged(same.slice(0, 3), 2);
  judged(
    same.map(([, said]) => [-1, said]),
    2,
  );
});

test('a teacher of another size sees the same view', () => {
  const flat = { pixels: new Uint8Array(2 * 4 * 4 * 3).fill(70, 0, 48).fill(200, 48), count: 2, height: 4, width: 4 };
  const larger = resizePixels(flat, 6, 8);
  assert.equal(larger.length, 2 * 6 * 8 * 3);
  assert.deepEqual([new Set(larger.subarray(0, 144)), new Set(larger.subarray(144))], [new Set([70]), new Set([200])]);
  const same = resizePixels(flat, 4, 4);
  assert.deepEqual(same, flat.pixels);
  assert.notEqual(same.buffer, flat.pixels.buffer, 'a copy, which may be given away');
});
