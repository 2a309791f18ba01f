import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { format, resolveConfig } from 'prettier';
import { PupilError } from '../errors.js';
import { optionsPage } from '../testing/options-page.js';
import { commandOf, reproduce } from './command.js';
import { demoOpenOptions, demoOptions, distillOptions, learnOptions, searchOptions, selfTrainOptions } from './jobs.js';
import {
  checkOptions,
  labelOf,
  machineOptions,
  modes,
  omit,
  pick,
  readText,
  refuseUnaided,
  savedOptions,
  usualOf,
  type Options,
} from './option.js';
import { demo, ladder, techniqueRecipes } from './recipes.js';
import { consensusOptions, featuresOptions, packOptions, seedsOptions, shardOptions } from './shards.js';
import * as tools from './tools.js';
import { techniqueDefaults, trainingOptions, type TrainOptions } from './training.js';

const tables: readonly Options[] = [
  trainingOptions,
  distillOptions,
  selfTrainOptions,
  learnOptions,
  demoOptions,
  demoOpenOptions,
  searchOptions,
  ...Object.values(tools),
  consensusOptions,
  seedsOptions,
  shardOptions,
  packOptions,
  featuresOptions,
];

const refused =
  (says: string | RegExp, option?: string) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof PupilError && error.code === 'usage');
    if (typeof says === 'string') assert.equal(error.message, says);
    else assert.match(error.message, says);
    assert.equal(error.option, option);
    return true;
  };

test('an option about another one is refused without that, in every table', () => {
  let count = 0;
  for (const table of tables)
    for (const [name, row] of Object.entries(table)) {
      if (name.startsWith('teacher') && name !== 'teachers') assert.deepEqual(row.only?.with, ['teachers'], name);
      if (row.only?.with === undefined || row.never !== undefined) continue;
      count++;
      assert.throws(() => refuseUnaided(table, { [name]: 'said' }), refused(/has no use without `/, name));
      for (const other of row.only.with) refuseUnaided(table, { [name]: 'said', [other]: ['said'] });
      refuseUnaided(table, { [name]: 'said', resume: 'runs/a' });
    }
  assert.ok(count > 10, `${count} rows`);
  assert.throws(
    () => refuseUnaided(trainingOptions, { shuffleBuffer: 8, shuffle: 'all' }),
    refused(/^`shuffleBuffer`: it has no use with `shuffle: all`; leave it out$/, 'shuffleBuffer'),
  );
});

test('every row has help, a heading, and a default that it takes itself', () => {
  for (const table of tables) {
    for (const [name, row] of Object.entries(table)) {
      assert.match(row.says, /^[^A-Z].*[^.]$|^N /, name);
      assert.ok(row.group.length > 0 && labelOf(name, row).length > 0, name);
      assert.ok(!row.says.includes('--'), `${name}: help names flags by the option in backticks`);
      for (const other of row.only?.with ?? []) assert.ok(Object.hasOwn(table, other), `${name} needs ${other}`);
      for (const value of [row.off, row.bare, ...modes.map((mode) => usualOf(row, mode))])
        if (value !== undefined) assert.deepEqual(row.kind.check(value), value, `${name}: ${String(value)}`);
    }
  }
});

test('the recipes say what the rows take', () => {
  const byTechnique = Object.values(techniqueRecipes).flatMap((recipe) => Object.values(recipe) as TrainOptions[]);
  for (const recipe of [...byTechnique, ...Object.values(ladder.rungs)])
    assert.deepEqual(checkOptions(trainingOptions, recipe), recipe);
  const { mode: _, model: __, labelsPerClass: ___, ...told } = demo;
  assert.deepEqual(checkOptions(demoOptions, told), told);
  assert.equal(techniqueDefaults('alpha'), 'distillation: 0.9');
  assert.equal(techniqueDefaults('momentum'), undefined);
});

const values: readonly (readonly [name: keyof typeof trainingOptions, given: unknown, says: string])[] = [
  ['epochs', 0, '`epochs` takes a whole number of at least 1, got 0'],
  ['epochs', 1.5, '`epochs` takes a whole number of at least 1, got 1.5'],
  ['epochs', '3', '`epochs` takes a whole number of at least 1, got "3"'],
  ['lr', Infinity, '`lr` takes auto or a number above 0, got Infinity'],
  ['lr', 'atuo', '`lr` takes auto or a number above 0, got "atuo"'],
  ['labelSmoothing', 1, '`labelSmoothing` takes a number from 0 to below 1, got 1'],
  ['layerDecay', 0, '`layerDecay` takes a number above 0 and at most 1, got 0'],
  ['folds', 21, '`folds` takes 0, or a whole number from 2 to 20, got 21'],
  ['folds', 1, '`folds` takes 0, or a whole number from 2 to 20, got 1'],
  ['mode', 'scrath', '`mode` takes one of finetune, scratch, probe, consensus, got "scrath"; did you mean scratch?'],
  ['flip', 1, '`flip` takes true or false, got 1'],
  ['model', '  ', '`model` takes a model, got "  "'],
  ['freeze', 5, '`freeze` takes a list, each a pattern, got 5'],
  ['freeze', ['a', ''], '`freeze` takes a list, each a pattern, got ["a",""]'],
];
for (const [name, given, says] of values) {
  test(`refused: ${name} ${JSON.stringify(given)}`, () => {
    assert.throws(() => checkOptions(trainingOptions, { [name]: given }), refused(says, name));
  });
}

test('unknown options are refused with the nearest, undefined counts as not given', () => {
  const misspelt = { ephocs: 3 } as TrainOptions;
  const says = 'there is no option "ephocs"; did you mean `epochs`?';
  assert.throws(() => checkOptions(trainingOptions, misspelt), refused(says, 'epochs'));
  assert.deepEqual(checkOptions(trainingOptions, { epochs: undefined, lr: 'auto' }), { lr: 'auto' });
  const why = '`augment`: a search finds that itself; say with `space`, `n` and `m` what it may choose from';
  assert.throws(() => checkOptions(searchOptions, { augment: 'basic' } as never), refused(why, 'augment'));
});

test('one value stands for a list of it', () => {
  assert.deepEqual(checkOptions(trainingOptions, { freeze: 'layer1', unlabelled: 'more' }), {
    freeze: ['layer1'],
    unlabelled: ['more'],
  });
  assert.deepEqual(checkOptions(searchOptions, { n: 2 }), { n: [2] });
});

test('an option by the word of its flag is a misspelling of it', () => {
  const says = 'there is no option "student"; did you mean `model`?';
  assert.throws(() => checkOptions(distillOptions, { student: 'x' } as never), refused(says, 'model'));
});

test('text of a command line is read as the row says', () => {
  assert.equal(readText('epochs', trainingOptions.epochs, '12'), 12);
  assert.equal(readText('lr', trainingOptions.lr, '1e-3'), 0.001);
  assert.equal(readText('batchSize', trainingOptions.batchSize, 'auto'), 'auto');
  assert.deepEqual(readText('freeze', trainingOptions.freeze, 'layer1.*'), ['layer1.*']);
  assert.deepEqual(readText('n', searchOptions.n, '1, 2,3'), [1, 2, 3]);
  assert.throws(
    () => readText('lr', trainingOptions.lr, '0x10'),
    refused(/takes auto or a number above 0, got "0x10"/, 'lr'),
  );
});

test('parts of options: those of the machine, those that a run keeps, groups', () => {
  const options: TrainOptions = { epochs: 3, engine: 'ort', threads: 2, workers: 0, out: 'run', seed: undefined };
  assert.deepEqual(machineOptions(trainingOptions, options), { engine: 'ort', threads: 2, workers: 0 });
  assert.deepEqual(savedOptions(trainingOptions, options), { epochs: 3, engine: 'ort', threads: 2 });
  assert.deepEqual(omit(options, ['epochs', 'seed', 'out']), { engine: 'ort', threads: 2, workers: 0 });
  assert.deepEqual(pick(options, ['epochs', 'model']), { epochs: 3 });
});

test('the command that does the same again has what was chosen, quoted for a shell', () => {
  assert.equal(
    commandOf('train', "my photos/it's", {
      mode: 'scratch',
      epochs: 5,
      balance: true,
      flip: false,
      seed: 0,
      threads: 4,
      out: 'run',
      freeze: ['layer1.*', 'a'],
      losses: { brier: 1 },
      teachers: ['runs/a'],
    }),
    "pupil train 'my photos/it'\\''s' --mode scratch --epochs 5 --balance --no-flip " +
      "--freeze 'layer1.*' --freeze a --teacher runs/a",
  );
});

test('a run is made again by the command that its run.json gives, without what is usual there', () => {
  const settings = {
    data: 'photos',
    mode: 'scratch',
    model: 'resnet20',
    technique: 'fixmatch',
    epochs: 30,
    lr: 0.03,
    batchSize: 16,
    unlabelled: ['more'],
    teachers: [],
    augment: { name: 'weak', base: 'weak', steps: [] },
    strong: { name: 'strong', base: 'none', steps: [] },
    engine: 'ort',
    flip: true,
  };
  assert.equal(
    reproduce({ command: 'train', settings }),
    'pupil train photos --mode scratch --model resnet20 --technique fixmatch --batch-size 16 --unlabelled more',
  );
  assert.equal(reproduce({ command: 'gap', settings }), undefined);
});

test('docs/options.md is what the tables say (node scripts/options.js)', async () => {
  const path = fileURLToPath(new URL('../../docs/options.md', import.meta.url));
  const expected = await format(optionsPage(), { ...(await resolveConfig(path)), parser: 'markdown' });
  assert.ok(readFileSync(path, 'utf8') === expected, 'make it again: node scripts/options.js');
});
