import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createBudget, type BudgetOptions, type Mutable } from './budget.js';
import type { FitPosition } from './events.js';
import { begin } from './fit.js';

/** Trains for a minute, or as told, with steps of `secondsOf(at)` seconds; when and after which step it ended. */
function ended(
  secondsOf: (at: number) => number,
  { from = begin, ...told }: BudgetOptions & { readonly from?: FitPosition } = {},
): { readonly at: number; readonly steps: number } {
  const position: Mutable<FitPosition> = { ...from };
  const budget = createBudget({ minutes: 1, ...told }, position, { stepsPerEpoch: 10, everything: 100_000 });
  let at = position.seconds;
  while (!budget.isReached()) {
    const took = secondsOf(at);
    at += took;
    position.step++;
    budget.timed(took, at);
    budget.keep(at);
  }
  return { at, steps: position.step };
}

test('a training whose steps become slower makes fewer of them and ends in time', () => {
  const steady = ended(() => 0.1);
  assert.ok(steady.at > 50 && steady.at < 60, `${steady.at}`);
  for (const since of [2, 20, 45]) {
    const slower = ended((at) => (at > since ? 0.5 : 0.1));
    assert.ok(slower.at > 50 && slower.at <= 61, `slower since ${since} s: ended after ${slower.at} s`);
    assert.ok(slower.steps < steady.steps);
  }
  const faster = ended((at) => (at > 20 ? 0.05 : 0.1));
  assert.equal(faster.steps, steady.steps, 'the schedule is not stretched');
});

test('a training that goes on has its steps where they fit the time of now, and ends by it where they do not', () => {
  const from: FitPosition = { ...begin, step: 3000, plannedSteps: 5000, seconds: 300 };
  const after = (minutes: number, each = 0.1): { readonly at: number; readonly steps: number } =>
    ended(() => each, { from, minutes });
  assert.equal(after(500.5 / 60).steps, 5000, 'as without an interruption');
  assert.equal(after(60).steps, 5000, 'the schedule is not stretched');
  const less = after(310 / 60);
  assert.ok(less.at > 308 && less.at <= 310.5, `10 s of 200: ended after ${less.at} s`);
  const slow = after(310 / 60, 0.8);
  assert.ok(slow.at <= 311, `in slow steps: ended after ${slow.at} s`);
  const everything = ended(() => 0.1, { from: { ...from, plannedSteps: 100_000 }, minutes: 310 / 60 });
  assert.ok(everything.at <= 310.5, 'begun without a time');
});

test('where steps become slower, more time is left for what follows them', () => {
  const busy = (follows: number): number => ended((at) => (at > 20 ? 0.2 : 0.1), { follows }).at;
  assert.ok(busy(0) > 55 && busy(0) <= 60.5);
  const left = 60 - busy(20);
  assert.ok(left > 18 && left < 24, `twice as slow, 20 s more are left: ${left}`);
  assert.ok(ended(() => 0.1, { follows: 20 }).at > 50);
});
