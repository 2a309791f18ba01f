import type { HalvingPlan, Measurement } from '../../artifact/formats.js';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { contenders, estimateSeconds, pending, planRungs, ranking, totalOf } from './halving.js';

const rungRows: readonly (readonly [
  epochs: number,
  candidates: number,
  eta: number,
  minEpochs: number,
  rungs: readonly number[],
])[] = [
  [27, 9, 3, 1, [3, 9, 27]],
  [30, 9, 3, 2, [3, 10, 30]],
  [10, 9, 3, 2, [3, 10]],
  [10, 16, 3, 1, [1, 3, 10]],
  [16, 16, 2, 1, [1, 2, 4, 8, 16]],
  [16, 16, 2, 4, [4, 8, 16]],
  [5, 2, 3, 1, [5]],
  [1, 9, 3, 1, [1]],
  [2, 9, 3, 1, [2]],
];
for (const [epochs, candidates, eta, minEpochs, rungs] of rungRows) {
  test(`rungs of ${candidates} cells, ${epochs} epochs, eta ${eta}, at least ${minEpochs}: ${rungs.join()}`, () => {
    assert.deepEqual(planRungs({ epochs, candidates, eta, minEpochs }), rungs);
  });
}

const plan: HalvingPlan = { cells: 10, baseline: 0, seeds: 2, rungs: [3, 9, 27], eta: 3 };

/** Runs a plan with a trainer that is a function, for at most `limit` trainings. */
function play(
  what: HalvingPlan,
  train: (cell: number, rung: number, seed: number) => { top1: number; loss?: number | null },
  limit = Infinity,
  from: readonly Measurement[] = [],
): Measurement[] {
  const measured = [...from];
  for (let next = pending(what, measured)[0]; next && measured.length < limit; next = pending(what, measured)[0]) {
    const { top1, loss = 1 } = train(next.cell, next.rung, next.seed);
    measured.push({ ...next, top1, loss, right: '', seconds: what.rungs[next.rung]! });
  }
  return measured;
}

/** Cell 7 is best in the end, 4 at first. */
const learner = (cell: number, rung: number, seed: number): { top1: number } => ({
  top1:
    (cell === 7 ? 0.5 + 0.15 * rung : cell === 4 ? 0.6 + 0.02 * rung : 0.3 + 0.01 * cell) + (seed === 0 ? -0.01 : 0.01),
});

test('hopeless cells stop early, the baseline goes on to the end', () => {
  const measured = play(plan, learner);
  assert.deepEqual(contenders(plan, measured, 1), [4, 7, 9, 0]);
  assert.deepEqual(contenders(plan, measured, 2), [7, 0]);
  const trained = (rung: number): number[] =>
    [...new Set(measured.filter((item) => item.rung === rung).map(({ cell }) => cell))].sort((a, b) => a - b);
  assert.deepEqual(
    [trained(0), trained(1), trained(2)],
    [
      [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
      [0, 4, 7, 9],
      [0, 7],
    ],
  );
  assert.deepEqual(totalOf(plan), {
    trainings: measured.length,
    epochs: measured.reduce((sum, { rung }) => sum + plan.rungs[rung]!, 0),
  });
  const standings = ranking(plan, measured);
  assert.deepEqual(
    standings.map(({ cell }) => cell),
    [7, 0, 4, 9, 8, 6, 5, 3, 2, 1],
  );
  assert.ok(Math.abs(standings[0]!.top1 - 0.8) < 1e-9);
  assert.equal(standings[0]!.measurements.length, 2);
});

test('without halving every cell trains in full', () => {
  const full = { ...plan, rungs: [27] };
  const measured = play(full, learner);
  assert.equal(measured.length, 20);
  assert.deepEqual(
    ranking(full, measured)
      .slice(0, 2)
      .map(({ cell }) => cell),
    [4, 7],
  );
  assert.deepEqual(totalOf(full), { trainings: 20, epochs: 540 });
});

test('all cells are trained with one seed before any is with the next, in a fixed order, the baseline first', () => {
  const order = play({ ...plan, cells: 3, baseline: 2, rungs: [1] }, learner).map(
    ({ cell, seed }) => `${cell}/${seed}`,
  );
  assert.deepEqual(order, ['2/0', '0/0', '1/0', '2/1', '0/1', '1/1']);
});

test('interrupted anywhere, the search goes on to the same measurements', () => {
  const whole = play(plan, learner);
  for (let stop = 0; stop <= whole.length; stop++)
    assert.deepEqual(play(plan, learner, Infinity, play(plan, learner, stop)), whole);
  assert.equal(pending(plan, whole).length, 0);
});

test('ties go to the lower loss, then to the earlier cell; a diverged training is last', () => {
  const row = (cell: number, top1: number, loss: number | null): Measurement => ({
    cell,
    rung: 0,
    seed: 0,
    top1,
    loss,
    right: '',
    seconds: 1,
  });
  const small: HalvingPlan = { cells: 5, seeds: 1, rungs: [1, 3], eta: 2 };
  const measured = [row(0, 0.5, 1.2), row(1, 0.5, 1.1), row(2, 0, null), row(3, 0.5, 1.1), row(4, 0, null)];
  assert.deepEqual(
    ranking(small, measured).map(({ cell }) => cell),
    [1, 3, 0, 2, 4],
  );
  assert.deepEqual(contenders(small, measured, 1), [1, 3]);
});

test('a search that is cut short compares cells on the seeds that all of them share', () => {
  const standings = (count: number): (readonly [cell: number, rung: number, seeds: number])[] =>
    ranking(plan, play(plan, learner, count)).map(({ cell, rung, measurements }) => [cell, rung, measurements.length]);
  assert.deepEqual(standings(0), []);
  // The first seed of three cells, then the second seed of some.
  assert.deepEqual(standings(3), [
    [2, 0, 1],
    [1, 0, 1],
    [0, 0, 1],
  ]);
  for (const count of [11, 19]) assert.ok(standings(count).every(([, rung, seeds]) => rung === 0 && seeds === 1));
  // A stage counts once the baseline, its last cell, was trained.
  for (const count of [20, 23]) assert.ok(standings(count).every(([, rung, seeds]) => rung === 0 && seeds === 2));
  for (const count of [24, 27]) {
    assert.deepEqual(standings(count).slice(0, 5), [
      [7, 1, 1],
      [4, 1, 1],
      [9, 1, 1],
      [0, 1, 1],
      [8, 0, 2],
    ]);
  }
});

test('times are estimated from the median epoch', () => {
  assert.equal(estimateSeconds(plan, [], 9), undefined);
  const measured = play(plan, learner, 5).map((item, i) => ({ ...item, seconds: i === 0 ? 60 : 6 }));
  assert.equal(estimateSeconds(plan, measured, 9), 18);
});
