import assert from 'node:assert/strict';
import { test } from 'node:test';
import { editDistance, nearest, suggestion } from './nearest.js';

test('swapped neighbours count as one change', () => {
  for (const [from, to, changes] of [
    ['train', 'trian', 1],
    ['resnet81', 'resnet18', 1],
    ['kitten', 'sitting', 3],
    ['', 'abc', 3],
    ['ca', 'abc', 3],
    ['same', 'same', 0],
  ] as const)
    assert.equal(editDistance(from, to), changes, `${from} to ${to}`);
});

test('the nearest name is found whatever the case, and none where none is near', () => {
  assert.equal(nearest('trian', ['training', 'train', 'try']), 'train');
  assert.equal(nearest('RESNET81', ['resnet18', 'resnet50']), 'resnet18');
  assert.equal(nearest('--epoch', ['--ema', '--epochs', '--patch']), '--epochs');
  assert.equal(nearest('--backbone', ['--balance', '--backbone-lr']), '--backbone-lr');
  assert.equal(nearest('--learning-rate', ['--lr', '--label-smoothing', '--train-on']), undefined);
  assert.equal(nearest('xyz', ['lr', 'ema']), undefined);
  assert.equal(nearest('learn', ['train', 'predict', 'doctor']), undefined);
  assert.equal(nearest('', ['lr']), undefined);
  assert.equal(nearest('lr', []), undefined);
  assert.equal(suggestion('adamv', ['sgd', 'adamw']), 'did you mean "adamw"?');
  assert.equal(suggestion('something', ['sgd', 'adamw']), 'known: sgd, adamw');
});
