import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  describePseudoLabels,
  pseudoTarget,
  selectPseudoLabels,
  type PseudoLabels,
  type SelectOptions,
} from './pseudo-labels.js';

/** Labels of two or more classes by name: [class, confidence]. */
const labelsOf = (classes: readonly string[], ...answers: readonly (readonly [string, number])[]): PseudoLabels => ({
  classes,
  rows: answers.map(([name, confidence], i) => ({
    path: `${i}.jpg`,
    hash: `h${i}`,
    label: classes.indexOf(name),
    confidence,
    accepted: true,
    copies: 1,
    probabilities: Float32Array.from(classes, (other) =>
      other === name ? confidence : (1 - confidence) / (classes.length - 1),
    ),
  })),
});
const labels = labelsOf(
  ['a', 'b', 'c'],
  ['a', 0.9],
  ['b', 0.3],
  ['a', 0.6],
  ['a', 0.95],
  ['b', 0.29],
  ['a', 0.6],
  ['b', 0.8],
);
const copies = (from: PseudoLabels, options: SelectOptions): number[] =>
  selectPseudoLabels(from, options).rows.map((row) => row.copies);

test('the threshold itself is accepted', () => {
  assert.deepEqual(copies(labels, { threshold: 0.3 }), [1, 1, 1, 1, 0, 1, 1]);
  assert.deepEqual(copies(labels, { threshold: 0 }), [1, 1, 1, 1, 1, 1, 1]);
  assert.deepEqual(copies(labels, { threshold: 1 }), [0, 0, 0, 0, 0, 0, 0]);
  const selected = selectPseudoLabels(labels, { threshold: 0.9 });
  assert.deepEqual(
    selected.rows.map(({ accepted }) => accepted),
    [true, false, false, true, false, false, false],
  );
  assert.equal(selected.threshold, 0.9);
});

test('of each class the most confident are kept, short classes are duplicated, an empty one stays empty', () => {
  const rows: [what: string, options: SelectOptions, expected: number[]][] = [
    ['two of each', { threshold: 0.3, perClass: 2 }, [1, 1, 0, 1, 0, 0, 1]],
    ['equally confident: the first', { threshold: 0.3, perClass: 3 }, [1, 1, 1, 1, 0, 0, 2]],
    ['copies evenly, the remainder to the most confident', { threshold: 0.25, perClass: 5 }, [1, 2, 1, 2, 1, 1, 2]],
    ['no copies', { threshold: 0.3, perClass: 5, balance: false }, [1, 1, 1, 1, 0, 1, 1]],
    ['as many as the largest class', { threshold: 0.3, balance: true }, [1, 2, 1, 1, 0, 1, 2]],
    ['nothing accepted', { threshold: 1, balance: true }, [0, 0, 0, 0, 0, 0, 0]],
    [
      'what is rejected has no say',
      { threshold: 0.3, perClass: 2, rejected: new Set(['3.jpg']) },
      [1, 1, 1, 0, 0, 0, 1],
    ],
  ];
  for (const [what, options, expected] of rows) assert.deepEqual(copies(labels, options), expected, what);
});

test('a selection is made anew, whatever was accepted before', () => {
  const none = selectPseudoLabels(labels, { threshold: 1 });
  assert.deepEqual(
    selectPseudoLabels(none, { threshold: 0.3, perClass: 3 }).rows,
    selectPseudoLabels(labels, { threshold: 0.3, perClass: 3 }).rows,
  );
});

test('hard labels are taught unless soft ones are asked for', () => {
  assert.deepEqual([...pseudoTarget(labels, labels.rows[1]!)], [0, 1, 0]);
  assert.deepEqual(pseudoTarget({ ...labels, soft: true }, labels.rows[1]!), Float32Array.of(0.35, 0.3, 0.35));
});

test('impossible thresholds and numbers are refused', () => {
  for (const options of [
    { threshold: 1.5 },
    { threshold: -0.1 },
    { threshold: NaN },
    { threshold: 0.3, perClass: 0 },
    { threshold: 0.3, perClass: 1.5 },
  ]) {
    assert.throws(() => selectPseudoLabels(labels, options), { code: 'usage' });
  }
});

test('images that look like none of the classes count in no class, no mean and not among the doubtful', () => {
  const strangers = new Set(['4.jpg', '1.jpg']);
  const isAside = ({ path }: { readonly path: string }): boolean => strangers.has(path);
  const got = describePseudoLabels(labels, () => 0, isAside);
  const sum = (counts: readonly number[]): number => counts.reduce((all, count) => all + count, 0);
  assert.deepEqual([got.total, got.accepted, sum(got.histogram)], [7, 5, 5]);
  assert.ok(Math.abs(got.meanConfidence - (0.9 + 0.6 + 0.95 + 0.6 + 0.8) / 5) < 1e-12);
  assert.deepEqual([got.perClass['b']!.predicted, got.perClass['b']!.meanConfidence], [1, 0.8]);
  assert.deepEqual(got.doubtful, ['5.jpg', '2.jpg', '6.jpg', '0.jpg', '3.jpg']);
  assert.deepEqual([got.truth!.known, got.truth!.right], [5, 4]);
});

test('statistics of pseudo-labels, with and without the truth', () => {
  const selected = selectPseudoLabels(labels, { threshold: 0.3, perClass: 3 });
  const truth = new Map([
    ['h0', 0],
    ['h1', 0],
    ['h3', 2],
    ['h6', 1],
    ['h4', 1],
  ]);
  const got = describePseudoLabels(selected, (_, hash) => truth.get(hash));
  assert.deepEqual(
    { ...got, meanConfidence: 0, perClass: {} },
    {
      total: 7,
      accepted: 5,
      threshold: 0.3,
      meanConfidence: 0,
      histogram: [0, 0, 1, 1, 0, 0, 2, 0, 1, 2],
      acceptedHistogram: [0, 0, 0, 1, 0, 0, 1, 0, 1, 2],
      perClass: {},
      truth: { known: 5, right: 3, acceptedKnown: 4, acceptedRight: 2 },
      samples: { a: ['3.jpg', '0.jpg', '2.jpg'], b: ['6.jpg', '1.jpg'], c: [] },
      doubtful: ['4.jpg', '1.jpg', '5.jpg', '2.jpg', '6.jpg', '0.jpg', '3.jpg'],
    },
  );
  assert.ok(Math.abs(got.meanConfidence - 4.44 / 7) < 1e-12);
  const { a, b, c } = got.perClass as Record<'a' | 'b' | 'c', (typeof got.perClass)[string]>;
  assert.deepEqual(
    { ...a, meanConfidence: 0 },
    { predicted: 4, accepted: 3, copies: 3, meanConfidence: 0, known: 2, right: 1 },
  );
  assert.deepEqual(
    { ...b, meanConfidence: 0 },
    { predicted: 3, accepted: 2, copies: 3, meanConfidence: 0, known: 3, right: 2 },
  );
  assert.deepEqual(c, { predicted: 0, accepted: 0, copies: 0, meanConfidence: 0, known: 0, right: 0 });
  const { truth: none, perClass } = describePseudoLabels(labels);
  assert.equal(none, undefined);
  assert.equal(perClass['a']!.known, undefined);
  const empty = describePseudoLabels({ classes: ['a', 'b'], rows: [] });
  assert.deepEqual([empty.total, empty.meanConfidence, empty.doubtful], [0, 0, []]);
  assert.deepEqual(
    describePseudoLabels(labelsOf(['a', 'b'], ['a', 1])).histogram,
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
    'certainty is in the last tenth',
  );
});
