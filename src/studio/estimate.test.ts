import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Random } from '../random.js';
import { answeredOf, estimateOf, mixed, sampleUpTo } from './estimate.js';

const images = 300,
  batches = 6,
  count = 20;

/** A model is right about 4 of 5 images; what it is unsure of is asked first, most of the others are accepted. */
function replay(seed: number): { readonly drawn: number; readonly sample: number } {
  const random = new Random(seed, 'replay');
  const ids = [...Array(images).keys()];
  const isRight = (id: number): boolean => id % 5 !== 0;
  const order = random.shuffle(ids);
  const labelled = new Set<number>(),
    drawn = new Set<number>(),
    sample = new Set<number>();
  for (let batch = 0; batch < batches; batch++) {
    const free = order.filter((id) => !labelled.has(id));
    const unsure = free.filter((id) => !isRight(id) || id % 5 === 1).map((id) => ({ id, why: 'unsure' as const }));
    const proposals = mixed(unsure, free, { answered: batch * count, count });
    const fresh = proposals.flatMap(({ id, why }) => (why === 'random' ? [id] : []));
    for (const id of sampleUpTo(fresh, order, (one) => labelled.has(one))) sample.add(id);
    for (const id of fresh) drawn.add(id);
    for (const { id } of proposals) labelled.add(id);
    for (const id of free) if (isRight(id) && !labelled.has(id) && random.uniform() < 0.4) labelled.add(id);
  }
  const accuracy = (of: ReadonlySet<number>): number =>
    estimateOf([...of].map((id) => ({ label: 'a', said: isRight(id) ? 'a' : 'b' })))!.accuracy;
  return { drawn: accuracy(drawn), sample: accuracy(sample) };
}

test('the sample of all images is fair though hard ones are asked for and easy ones accepted', () => {
  const all = Array.from({ length: 200 }, (_, seed) => replay(seed));
  const mean = (of: 'drawn' | 'sample'): number => all.reduce((sum, one) => sum + one[of], 0) / all.length;
  assert.ok(Math.abs(mean('sample') - 0.8) < 0.01, `${mean('sample')}`);
  assert.ok(Math.abs(mean('drawn') - 0.8) > 0.03, `those drawn alone are not: ${mean('drawn')}`);
});

test('a sample begins where the random order begins, and ends with what was drawn last', () => {
  const isLabelled = (id: number): boolean => id % 2 === 0;
  assert.deepEqual(sampleUpTo([5, 3], [4, 5, 7, 8, 3, 2], isLabelled), [4, 5, 8, 3]);
  assert.deepEqual(sampleUpTo([], [4, 5], isLabelled), []);
});

test('what waits for an answer ends the sample: what was accepted behind it is no random draw', () => {
  const order = [4, 5, 7, 8, 3, 2],
    sample = new Set([4, 5, 8, 3]);
  const answered = (...waiting: number[]): number[] =>
    answeredOf(
      order,
      (id) => sample.has(id),
      (id) => waiting.includes(id),
    );
  assert.deepEqual(answered(), [4, 5, 8, 3]);
  assert.deepEqual(answered(8), [4, 5]);
  assert.deepEqual(answered(3, 2), [4, 5, 8]);
  assert.deepEqual(answered(4), []);
});

test('an estimate says how many more images narrow it to a width that one may want, if there are so many', () => {
  const after = (right: number, count: number, left: number) =>
    estimateOf(
      Array.from({ length: count }, (_, i) => ({ label: 'a', said: i < right ? 'a' : 'b' })),
      left,
    )!.narrower;
  // 8 of 10: 49 to 94%. 20 of 25 would be 30.3 points wide, 21 of 26 a little less than 30.
  assert.deepEqual(after(8, 10, 1000), { images: 16, within: 0.15 });
  assert.equal(after(8, 10, 15), null);
  assert.equal(after(80, 100, 1000)?.within, 0.05);
  assert.equal(after(5000, 5000, 1000), null);
});
