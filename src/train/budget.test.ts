import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createBudget, type Mutable } from './budget.js';
import type { FitPosition } from './events.js';
import { begin } from './fit.js';

/** Trains for a minute with steps of `secondsOf(at)` seconds; when and after which step it ended. */
function ended(secondsOf: (at: number) => number): { readonly at: number; readonly steps: number } {
  const position: Mutable<FitPosition> = { ...begin };
  const budget = createBudget({ minutes: 1 }, position, { stepsPerEpoch: 10, everything: 100_000 });
  let at = 0;
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
