import assert from 'node:assert/strict';
import { test } from 'node:test';
import { selectPseudoLabels, type PseudoLabels } from '../data/pseudo-labels.js';
import { PupilError } from '../errors.js';
import { Random } from '../random.js';
import {
  assertAccepted,
  createOutlierDetector,
  pseudoLabelWarnings,
  reportOutliers,
  undecidedImages,
} from './pseudo-labels.js';

const classes = ['a', 'b', 'c'];

/** So many images of each class at each confidence. */
function labelsOf(...groups: readonly (readonly [label: number, confidence: number, count: number])[]): PseudoLabels {
  const rows = groups.flatMap(([label, confidence, count], group) =>
    Array.from({ length: count }, (_, i) => ({
      path: `${group}/${i}.jpg`,
      hash: `${group}-${i}`,
      label,
      confidence,
      accepted: true,
      copies: 1,
      probabilities: Float32Array.from(classes, (__, c) => (c === label ? confidence : (1 - confidence) / 2)),
    })),
  );
  return { classes, rows };
}

const message = (work: () => void): string => {
  try {
    work();
  } catch (error) {
    assert.ok(error instanceof PupilError && error.code === 'bad-data');
    return error.message;
  }
  return 'nothing was thrown';
};

test('nothing accepted: the error names the best confidence and what to do', () => {
  const labels = labelsOf([0, 0.4, 3], [1, 0.55, 1]);
  assert.match(
    message(() => assertAccepted(selectPseudoLabels(labels, { threshold: 0.6 }))),
    /of 4 .* none is accepted: the most confident one is 55\.0% \(b, 1\/0\.jpg\), below `threshold: 0\.6`; lower it/,
  );
  assert.match(
    message(() =>
      assertAccepted(
        selectPseudoLabels(labels, { threshold: 0.3, rejected: new Set(labels.rows.map(({ path }) => path)) }),
      ),
    ),
    /unlike the labelled images/,
  );
  assert.match(
    message(() =>
      assertAccepted({ classes, rows: labels.rows.map((row) => ({ ...row, accepted: false, copies: 0 })) }),
    ),
    /accept some/,
  );
  assert.match(
    message(() => assertAccepted({ classes, rows: [] })),
    /no image was labelled/,
  );
  assertAccepted(selectPseudoLabels(labels, { threshold: 0.55 }));
});

test('a class that swallows the others, one that is never predicted, one that is never accepted', () => {
  const rows: [what: string, labels: PseudoLabels, labelled: number[] | undefined, expected: RegExp[]][] = [
    ['all is well', labelsOf([0, 0.9, 5], [1, 0.9, 5], [2, 0.9, 2]), undefined, []],
    [
      'one class swallows the others',
      labelsOf([0, 0.9, 95], [1, 0.9, 3], [2, 0.9, 2]),
      undefined,
      [/^95\.0% of the accepted pseudo-labels are 'a', of the labels 33\.3%/],
    ],
    [
      'also where labels are uneven',
      labelsOf([0, 0.9, 95], [1, 0.9, 3], [2, 0.9, 2]),
      [60, 20, 20],
      [/of the labels 60\.0%/],
    ],
    ['but not where they are as uneven', labelsOf([0, 0.9, 95], [1, 0.9, 3], [2, 0.9, 2]), [950, 25, 25], []],
    ['at nine in ten nothing is said', labelsOf([0, 0.9, 90], [1, 0.9, 5], [2, 0.9, 5]), undefined, []],
    [
      'what is not accepted does not count',
      labelsOf([0, 0.2, 95], [1, 0.9, 3], [2, 0.9, 2]),
      undefined,
      [/no pseudo-label is accepted of a; a lower `threshold`/],
    ],
    [
      'a class that nobody predicts',
      labelsOf([0, 0.9, 5], [1, 0.9, 5]),
      undefined,
      [/predicted no image as c; pseudo-labels cannot help with it/],
    ],
    ['two of them', labelsOf([0, 0.9, 5]), undefined, [/100\.0%/, /no image as b, c; .* help with them/]],
  ];
  for (const [what, labels, labelled, expected] of rows) {
    const warnings = pseudoLabelWarnings(selectPseudoLabels(labels, { threshold: 0.3 }), labelled);
    assert.equal(warnings.length, expected.length, `${what}: ${warnings.join('\n')}`);
    expected.forEach((says, i) => assert.match(warnings[i]!, says, what));
  }
});

test('images that the teacher cannot decide at all', () => {
  assert.deepEqual(undecidedImages(labelsOf([0, 1, 1], [0, 0.34, 1], [1, 0.5, 1], [2, 0.9, 1])), [1, 2]);
  assert.deepEqual(undecidedImages({ classes, rows: [] }), []);
});

/**
 * Points around a random direction, of any length: features after a rectifier keep their direction,
 * not their size.
 */
function cloud(seed: number, direction: number, count: number, size = 16): Float32Array {
  const random = new Random(seed, 'cloud', direction);
  return Float32Array.from({ length: count * size }, (_, i) =>
    i % size === direction ? 5 : 0.6 * random.normal(),
  ).map((value, i) => value * (1 + (Math.floor(i / size) % 3)));
}

test('images unlike any labelled one are told apart, and about one in a hundred of the others', async () => {
  const size = 16,
    labelled = new Float32Array([...cloud(1, 0, 400), ...cloud(1, 1, 400)]);
  const detector = await createOutlierDetector(labelled, size);
  const beyond = async (features: Float32Array): Promise<number> => {
    const scores = await detector.score(features);
    return scores.filter((score) => score > 1).length / scores.length;
  };
  assert.ok((await beyond(cloud(2, 5, 200))) > 0.99, 'another direction');
  const same = await beyond(new Float32Array([...cloud(3, 0, 1000), ...cloud(3, 1, 1000)]));
  assert.ok(same > 0.001 && same < 0.025, `of the same kind: ${same}`);
  assert.equal(
    (await beyond(labelled.map((value) => 3 * value))) <= 0.01,
    true,
    'the labelled ones themselves, at another scale',
  );
  assert.deepEqual([...(await detector.score(new Float32Array()))], []);
});

test('equal labelled images make no outliers of their own copies; too few are refused', async () => {
  const one = cloud(1, 0, 1);
  const detector = await createOutlierDetector(
    Float32Array.from({ length: 16 * 25 }, (_, i) => one[i % 16]!),
    16,
  );
  assert.ok((await detector.score(one))[0]! <= 1);
  assert.ok((await detector.score(cloud(1, 3, 1)))[0]! > 1);
  assert.match(
    await createOutlierDetector(cloud(1, 0, 19), 16).then(
      () => '',
      (error: unknown) => (error as Error).message,
    ),
    /19 labelled images are too few .* at least 20/,
  );
});

test('outliers are reported with their count and first paths', () => {
  assert.equal(reportOutliers([], 5, true), undefined);
  assert.equal(
    reportOutliers(['x.jpg'], 5, true),
    '1 of 5 images looks unlike your labelled images and was not accepted: x.jpg',
  );
  assert.match(
    reportOutliers(['1', '2', '3', '4', '5', '6', '7'], 9, false)!,
    /^the model is undecided on 7 of 9 images, .*: 1, 2, 3, 4, 5 and 2 more$/,
  );
});
