import assert from 'node:assert/strict';
import { test } from 'node:test';
import { seedsTable } from '../cli/chain-view.js';
import { accuracyText, meanText, rangeOf } from './intervals.js';

test('an accuracy on few images has the interval of a share, a mean over seeds its own', () => {
  // Wilson 1927 of 15 of 22: what was written as ± would reach as far up as down.
  const few = { top1: 15 / 22, interval: 0.209, count: 22 };
  assert.equal(accuracyText(few), '68.2% (47.3 to 83.6%)');
  assert.equal(accuracyText({ top1: 1, count: 10 }), '100.0% (72.2 to 100.0%)');
  assert.equal(accuracyText({ top1: 0.95, interval: 0.1 }), '95.0% (85.0 to 100.0%)', 'of how many is not known');
  assert.equal(accuracyText({ top1: 0.95 }), '95.0%');
  assert.equal(accuracyText(undefined), '\u2013');
  assert.equal(rangeOf({ top1: NaN, count: 10 }), undefined);
  const overSeeds = { top1: 0.816, interval: 0.007, count: 5 };
  assert.equal(meanText(overSeeds), '81.6% ± 0.7');
  const row = { name: 'probe', selection: overSeeds, seconds: 3, kept: 5 };
  assert.match(seedsTable({ seeds: [1, 2, 3, 4, 5], kept: 1, techniques: [row] }), /^probe +81\.6% ± 0\.7 /m);
});
