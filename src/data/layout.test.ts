import assert from 'node:assert/strict';
import { test } from 'node:test';
import { layOut, splitOf, splitsAmong } from './layout.js';
import type { Entry } from './scan.js';

const entry = (name: string): Entry => {
  const problem = /\.(txt|xml|md)$/.test(name) ? 'not an image' : undefined;
  return { name, path: name, source: { kind: 'file', path: name }, hash: name, format: 'PNG', bytes: 1, problem };
};
const layout = (...files: string[]): ReturnType<typeof layOut> => layOut({ entries: files.map(entry), folders: [] });
const places = (...files: string[]): string[] => {
  const { placed, doubt } = layout(...files);
  assert.equal(doubt, undefined);
  return Array.from(
    placed,
    ({ split, className, entry: { name } }) => `${split} ${className ?? '-'} ${name.replace(/^.*\//, '')}`,
  );
};

test('words for splits, with what others write around them', () => {
  const rows = {
    train: [
      'train',
      'Training',
      'TRAIN',
      'training_set',
      'trainset',
      'Train Set',
      'train-images',
      'trainData',
      'seg_train',
      'train2017',
    ],
    val: ['val', 'valid', 'validation', 'Validation_Set', 'valset', 'dev', 'val_images'],
    test: ['test', 'Testing', 'test_set', 'testset', 'TestImages', 'test1', 'evaluation', 'holdout'],
    unlabelled: ['unlabelled', 'unlabeled_images'],
  };
  for (const [split, words] of Object.entries(rows)) for (const word of words) assert.equal(splitOf(word), split, word);
  const others = [
    'cat',
    'trained',
    'set',
    'images',
    'training_shoe',
    'contest',
    'valley',
    'train_test',
    '',
    '2017',
    '__proto__',
    'constructor',
  ];
  for (const word of others) assert.equal(splitOf(word), undefined, word);
});

test('names beside each other that differ in the word of a split', () => {
  const among = (...names: string[]): string[] => [...splitsAmong(names)].map((pair) => pair.join(' = '));
  assert.deepEqual(among('flowers_train', 'flowers_test', 'readme'), ['flowers_train = train', 'flowers_test = test']);
  assert.deepEqual(among('cats_train', 'cats_test', 'dogs_train', 'dogs_test'), []);
  assert.deepEqual(among('toy_train', 'toy_car'), []);
  assert.deepEqual(among('train', 'flowers_test'), ['train = train']);
});

test('usual layouts', () => {
  const expected = ['train cat 1', 'train dog 2', 'test cat 3', 'test dog 4'];
  const rows = [
    ['training_set/cat/1', 'training_set/dog/2', 'test_set/cat/3', 'test_set/dog/4'],
    ['seg_train/seg_train/cat/1', 'seg_train/seg_train/dog/2', 'seg_test/seg_test/cat/3', 'seg_test/seg_test/dog/4'],
    ['pets-train/cat/1', 'pets-train/dog/2', 'pets-test/cat/3', 'pets-test/dog/4'],
    ['train/images/cat/1', 'train/images/dog/2', 'test/images/cat/3', 'test/images/dog/4'],
    ['cat/train/1', 'dog/train/2', 'cat/test/3', 'dog/test/4'],
    ['readme.txt', 'pets/Train/cat/1', 'pets/Train/dog/2', 'pets/Test/cat/3', 'pets/Test/dog/4'],
    ['images/train/cat/1', 'images/train/dog/2', 'images/test/cat/3', 'images/test/dog/4', 'notes/train/1.xml'],
  ];
  for (const row of rows) assert.deepEqual(places(...row), expected, row[1]);
  assert.deepEqual(places('cat/images/1', 'dog/images/2'), ['train cat 1', 'train dog 2']);
  assert.deepEqual(places('images/cat/1', 'images/dog/2', 'annotations/cat/1.xml'), ['train cat 1', 'train dog 2']);
  assert.deepEqual(places('train/1', 'car/2'), ['train train 1', 'train car 2']);
});

test('folders that are hardly the classes are named', () => {
  const doubts: [RegExp, string[]][] = [
    [
      /folders fold1, fold2 would be the classes, but each of them holds the same folders cat, dog/,
      ['fold1/cat/1', 'fold1/dog/2', 'fold2/cat/3', 'fold2/dog/4', 'fold2/owl/5'],
    ],
    [/a, b, c and 1 more would be/, ['a', 'b', 'c', 'd'].flatMap((top) => [`${top}/x/1`, `${top}/y/1`])],
    [/folders one, two would be/, ['train/one/cat/1', 'train/one/dog/2', 'train/two/cat/3', 'train/two/dog/4']],
    [/folders train, test1 hold images without class folders/, ['train/1', 'train/2', 'test1/3']],
    [/folder train holds images without/, ['train/1', 'train/2', 'labels/1.txt']],
  ];
  for (const [doubt, files] of doubts) assert.match(layout(...files).doubt ?? '', doubt);
  assert.equal(layout('cat/2020/1', 'cat/2021/2', 'dog/2020/3', 'dog/4').doubt, undefined);
  assert.equal(layout('cat/left/1', 'dog/left/2').doubt, undefined);
});

test('one name in two Unicode spellings is one class', () => {
  const [one, two] = ['caf\u00e9', 'cafe\u0301'];
  assert.deepEqual(layout(`train/${one}/1`, 'train/tea/2', `val/${two}/3`).classNames, [one, 'tea']);
  assert.deepEqual(layout(`${two}/1`, `${one}/2`, 'tea/3').classNames, [one, 'tea']);
});
