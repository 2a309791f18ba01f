import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PupilError } from '../errors.js';
import { contentHash } from './read.js';
import type { Dataset, Sample, Split } from './sample.js';
import { holdOut, keepLabels, kFolds, neverHeldOut, selectionSplit, type Fold } from './split.js';

const sample = (label: number, index: number, split: Split = 'train'): Sample => ({
  path: `${split}/${label}/${index}`,
  label: split === 'unlabelled' ? -1 : label,
  split,
  source: { kind: 'file', path: '' },
  hash: contentHash(Buffer.from(`${split} ${label} ${index}`)),
  format: 'PNG',
  bytes: 1,
});
const make = (counts: readonly number[], split: Split = 'train', from = 0): Sample[] =>
  counts.flatMap((count, label) => Array.from({ length: count }, (_, i) => sample(label, from + i, split)));
const datasetWith = (...samples: Sample[][]): Dataset => ({
  path: 'data',
  classes: ['a', 'b', 'c'],
  samples: samples.flat(),
  unreadable: [],
  notes: [],
  hash: '',
});
const countOf = (samples: readonly Sample[], label: number): number =>
  samples.filter((one) => one.label === label).length;
const paths = (samples: readonly Sample[]): string[] => samples.map(({ path }) => path).sort();
const isPartition = ({ train, selection }: Fold, all: readonly Sample[]): void =>
  assert.deepEqual(paths([...train, ...selection]), paths(all));

test('a held-out part is stratified and empties no class', () => {
  const all = make([200, 40, 3, 1]);
  const fold = holdOut(all, 0.2);
  isPartition(fold, all);
  for (const [label, low, high] of [
    [0, 28, 52],
    [1, 4, 12],
    [2, 1, 1],
    [3, 0, 0],
  ] as const) {
    const count = countOf(fold.selection, label);
    assert.ok(count >= low && count <= high, `class ${label}: ${count}`);
  }
});

test('held-out images stay held out when files are added, whatever their names and order', () => {
  const before = holdOut(make([200, 150, 120]), 0.2);
  const more = make([200, 150, 120])
    .concat(make([60, 0, 33], 'train', 1000))
    .reverse()
    .map((one) => ({ ...one, path: `renamed/${one.path}` }));
  const after = new Set(holdOut(more, 0.2).selection.map(({ hash }) => hash));
  const known = new Set(more.filter(({ path }) => /\/\d{1,3}$/.test(path)).map(({ hash }) => hash));
  assert.deepEqual(
    [...after].filter((hash) => known.has(hash)).sort(),
    before.selection.map(({ hash }) => hash).sort(),
  );
});

test('folds share every class and hold each image once', () => {
  const all = make([23, 10, 4, 1]);
  const folds = kFolds(all, 5);
  assert.equal(folds.length, 5);
  const selected = folds.flatMap(({ selection }) => selection);
  assert.deepEqual(paths(selected), paths(all.filter(({ label }) => label !== 3)));
  for (const fold of folds) {
    isPartition(fold, all);
    assert.ok([4, 5].includes(countOf(fold.selection, 0)), String(countOf(fold.selection, 0)));
    assert.equal(countOf(fold.selection, 1), 2);
    assert.ok(countOf(fold.selection, 2) <= 1);
    assert.ok(fold.train.some(({ label }) => label === 3));
  }
});

test('most images stay in their fold when some are added', () => {
  const foldOf = (folds: Fold[]): Map<string, number> =>
    new Map(folds.flatMap(({ selection }, i) => selection.map(({ hash }) => [hash, i] as const)));
  const before = foldOf(kFolds(make([60, 60]), 5)),
    after = foldOf(kFolds(make([63, 62]), 5));
  const moved = [...before].filter(([hash, fold]) => after.get(hash) !== fold).length;
  assert.ok(moved < 30, `${moved} of 120 moved`);
});

test('copies of one image are never torn apart', () => {
  const all = make([30, 30]).flatMap((one) => [one, { ...one, path: `${one.path} copy` }]);
  for (const { train, selection } of [holdOut(all, 0.2), ...kFolds(all, 4)]) {
    const hashes = new Set(train.map(({ hash }) => hash));
    assert.ok(selection.every(({ hash }) => !hashes.has(hash)));
  }
});

test('a class with one label is never held out', () => {
  const unmeasured = (...samples: Sample[][]): number[] =>
    neverHeldOut(selectionSplit(datasetWith(...samples), { seed: 0 }));
  assert.deepEqual(unmeasured(make([6, 1, 6])), [1]);
  assert.deepEqual(unmeasured(make([150, 80, 1])), [2]);
  assert.deepEqual(unmeasured(make([6, 2, 6])), []);
  // What no label at all is held out of says so itself, and of val the check does.
  assert.deepEqual(unmeasured(make([1, 1, 1])), []);
  assert.deepEqual(unmeasured(make([6, 1, 6]), make([3, 3], 'val')), []);
});

test('copies of an image that keeps its label do not come back without one', () => {
  const all = make([30, 30]).flatMap((one) => [one, { ...one, path: `${one.path} copy` }]);
  const { labelled, unlabelled } = keepLabels(all, 10, 1);
  const hashes = new Set(labelled.map(({ hash }) => hash));
  assert.deepEqual([labelled.length, unlabelled.length], [20, 80]);
  assert.ok(unlabelled.every(({ hash }) => !hashes.has(hash)));
});

test('labels per class are seeded and the rest becomes unlabelled', () => {
  const all = make([40, 30, 5]);
  const { labelled, unlabelled } = keepLabels(all, 10, 1);
  assert.deepEqual(
    [0, 1, 2].map((label) => countOf(labelled, label)),
    [10, 10, 5],
  );
  assert.equal(unlabelled.length, 50);
  assert.ok(unlabelled.every(({ label, split }) => label === -1 && split === 'unlabelled'));
  assert.deepEqual(paths(keepLabels([...all].reverse(), 10, 1).labelled), paths(labelled));
  assert.notDeepEqual(paths(keepLabels(all, 10, 2).labelled), paths(labelled));
  // More labels contain fewer: curves over K compare like with like.
  const more = new Set(paths(keepLabels(all, 20, 1).labelled));
  assert.ok(labelled.every(({ path }) => more.has(path)));
  assert.throws(() => keepLabels(all, 0, 1), PupilError);
});

test('val is for selection and test for reporting', () => {
  const { train, selection, report } = selectionSplit(
    datasetWith(make([9, 9]), make([4, 4], 'val'), make([5, 5], 'test')),
    { seed: 0 },
  );
  assert.equal(train.length, 18);
  assert.ok(selection.kind === 'val' && selection.samples.length === 8);
  assert.equal(report?.split, 'test');
});

test('--report-on val selects on training labels only', () => {
  const many = selectionSplit(datasetWith(make([120, 120]), make([40, 40], 'val')), { seed: 0, reportOnVal: true });
  assert.ok(many.selection.kind === 'holdout' && many.selection.samples.every(({ split }) => split === 'train'));
  assert.ok(many.selection.kind === 'holdout' && many.train.length + many.selection.samples.length === 240);
  assert.deepEqual([many.report?.split, many.report?.samples.length], ['val', 80]);
  const few = selectionSplit(datasetWith(make([20, 20]), make([40, 40], 'val')), { seed: 0, reportOnVal: true });
  assert.ok(few.selection.kind === 'folds' && few.selection.folds.length === 5 && few.train.length === 40);
  assert.throws(() => selectionSplit(datasetWith(make([3, 3])), { seed: 0, reportOnVal: true }), /there is no val/);
});

test('with labels per class, selection uses those labels only', () => {
  const data = datasetWith(make([300, 300]), make([7], 'unlabelled'));
  for (const perClass of [10, 150]) {
    const { train, selection, unlabelled } = selectionSplit(data, { seed: 3, labelsPerClass: perClass });
    const kept = new Set(paths(keepLabels(make([300, 300]), perClass, 3).labelled));
    const selected =
      selection.kind === 'folds'
        ? selection.folds.flatMap((fold) => fold.selection)
        : selection.kind === 'none'
          ? []
          : selection.samples;
    assert.equal(selection.kind, perClass === 10 ? 'folds' : 'holdout');
    assert.ok(selected.length > 0 && selected.every(({ path, label }) => kept.has(path) && label >= 0));
    assert.ok(train.every(({ path }) => kept.has(path)));
    assert.equal(unlabelled.length, 607 - 2 * perClass);
  }
  assert.equal(selectionSplit(data, { seed: 3, labelsPerClass: 1 }).selection.kind, 'none');
});

test('accepted suggestions are learned from, and held out only in a class that has nothing else', () => {
  const byHand = make([12, 10, 1]),
    accepted = make([300, 20, 9], 'train', 1000).map((one) => ({ ...one, accepted: true as const }));
  const all = [...byHand, ...accepted];
  const { train, selection } = selectionSplit(datasetWith(all), { seed: 0 });
  assert.equal(train.length, all.length);
  // 22 labels of two classes were given by hand, 10 of the third are all that it has: too few to hold a part out.
  assert.equal(selection.kind, 'folds');
  const folds = selection.kind === 'folds' ? selection.folds : [];
  const held = folds.flatMap((fold) => fold.selection);
  assert.deepEqual(
    [0, 1, 2].map((label) => [
      countOf(held, label),
      countOf(
        held.filter((one) => one.accepted),
        label,
      ),
    ]),
    [
      [12, 0],
      [10, 0],
      [10, 9],
    ],
  );
  for (const fold of folds) isPartition(fold, all);
  const part = selectionSplit(datasetWith(all), { seed: 0, foldsBelow: 0 }).selection;
  assert.ok(part.kind === 'holdout' && part.samples.every(({ label, accepted: is }) => label === 2 || is !== true));
});

test('of images that were drawn at random, labels are held out however they were given', () => {
  const byHand = make([12, 10]),
    accepted = make([20, 20], 'train', 1000).map((one, i) => ({
      ...one,
      accepted: true as const,
      ...(i % 4 === 0 ? { drawn: true as const } : {}),
    }));
  const all = [...byHand, ...accepted];
  const { selection } = selectionSplit(datasetWith(all), { seed: 0 });
  assert.ok(selection.kind === 'folds');
  const held = new Set(selection.folds.flatMap((fold) => fold.selection).map(({ path }) => path));
  assert.deepEqual(held, new Set([...byHand, ...accepted.filter((one) => 'drawn' in one)].map(({ path }) => path)));
  for (const fold of selection.folds) isPartition(fold, all);
});

test('what looks like a held-out image is not learned from because its label was accepted', () => {
  const byHand = make([20, 20]);
  const copies = byHand.map((one) => ({ ...one, path: `${one.path} copy`, accepted: true as const }));
  const { selection } = selectionSplit(datasetWith(byHand, copies), { seed: 0 });
  assert.ok(selection.kind === 'folds' && selection.folds.length > 1);
  for (const fold of selection.folds) {
    const learned = new Set(fold.train.map(({ hash }) => hash));
    assert.ok(fold.selection.every(({ hash, accepted }) => accepted !== true && !learned.has(hash)));
    assert.equal(fold.train.length, 2 * (40 - fold.selection.length));
  }
});
