import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PupilError } from '../errors.js';
import { learnOptions } from '../options/jobs.js';
import type { Options } from '../options/option.js';
import { trainingOptions } from '../options/training.js';
import { checkedOptions, optionFields } from './forms.js';

const tables = { learn: learnOptions, train: trainingOptions } satisfies Readonly<Record<string, Options>>;
const commands = Object.keys(tables) as (keyof typeof tables)[];
const names = (command: string): string[] => optionFields(command).map(({ name }) => name);

test('a form asks for nothing that one process with a folder of images does not have', () => {
  for (const command of commands) {
    const table: Options = tables[command],
      asked = names(command);
    for (const name of asked) {
      assert.equal(table[name]!.about, undefined, `${command}: ${name}`);
      const others = table[name]!.only?.with ?? [];
      assert.ok(others.length === 0 || others.some((other) => asked.includes(other)), `${command}: ${name}`);
    }
    for (const field of optionFields(command))
      assert.doesNotMatch(
        `${field.label} ${field.says}`,
        /\branks?\b|MPI|\bshards\b|teacher not made|archive|\bpupil \w|\.json|\.png/i,
        field.name,
      );
  }
  const absent = ['syncBn', 'averageEvery', 'share', 'shuffle', 'shuffleBuffer', 'reportOn', 'head', 'normalize'];
  assert.deepEqual(
    [...absent, 'temperature', 'alpha', 'priorWeight', 'teacherSize'].filter((name) => names('train').includes(name)),
    [],
  );
  for (const name of ['mode', 'augment', 'mixProbability', 'technique', 'threshold', 'weakPass', 'size', 'engine'])
    assert.ok(names('train').includes(name), name);
});

test('a technique that learns from a file is not offered, and is refused with those that are', () => {
  const { choices, says } = optionFields('train').find(({ name }) => name === 'technique')!;
  const offered = 'supervised, fixmatch, flexmatch, softmatch, freematch, adamatch, debiasmatch, mean-teacher';
  assert.equal(choices?.join(', '), offered);
  assert.equal(says, `how unlabelled images and teachers take part: ${offered}`);
  assert.deepEqual(checkedOptions('train', { technique: 'fixmatch' }), { technique: 'fixmatch' });
  const refusal = (option: string, says: RegExp) => (error: unknown) =>
    error instanceof PupilError && error.code === 'usage' && error.option === option && says.test(error.message);
  assert.throws(
    () => checkedOptions('train', { technique: 'distillation' }),
    refusal('technique', /takes supervised, fixmatch, .* here, got/),
  );
  assert.throws(() => checkedOptions('train', { syncBn: true }), refusal('syncBn', /not for the page to say/));
});

test('a field that is left empty says what that means: the default, or that the option is off', () => {
  const emptyOf = (command: keyof typeof tables): Readonly<Record<string, string>> =>
    Object.fromEntries(optionFields(command).map(({ name, empty }) => [name, empty]));
  const train = emptyOf('train');
  for (const name of ['gradualUnfreeze', 'layerDecay', 'ema', 'clipNorm', 'patience', 'cutmix', 'mixup', 'minutes'])
    assert.equal(train[name], 'off', name);
  assert.equal(train['epochs'], '10');
  assert.equal(train['size'], "the model's own");
  assert.equal(train['threads'], 'physical cores');
  assert.equal(train['technique'], 'supervised');
  assert.equal(train['threshold'], 'by the technique');
  assert.equal(train['headFirst'], 'automatic', 'more than a field has room for');
  const { dropout } = emptyOf('learn');
  assert.equal(dropout, '0.5', 'students have some; train has none');
  assert.equal(train['dropout'], 'off');
});
