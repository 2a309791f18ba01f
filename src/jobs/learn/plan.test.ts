import assert from 'node:assert/strict';
import { test } from 'node:test';
import { unlabelledWithin } from './plan.js';
import { studentSeconds } from './rounds.js';

test('so many unlabelled images take part as a round has time for', () => {
  const within = (left: number, reported = 0): number =>
    unlabelledWithin(left, 50, { image: 0.01, look: 0.01 / 3, start: 1, classes: 5, reported });
  assert.equal(within(Infinity), Infinity);
  assert.ok(within(600) > 2 * within(280) && within(600, 1000) < within(600));
});

test('the students of all rounds have the same time, but for what rounds take beside it', () => {
  const [round, beside] = [185, 35];
  let left = 580;
  const given: number[] = [];
  while (left > (2 / 3) * round) {
    const seconds = studentSeconds({ left, round, beside, spare: 0.05 });
    given.push(Math.round(seconds));
    left -= seconds + beside;
  }
  assert.deepEqual(given, [149, 153, 163]);
  assert.ok(left > 0);
  assert.equal(studentSeconds({ left: 30, round, beside, spare: 0.05 }), 1, 'no time is a little time');
});

test('where there is time for many rounds, a student that takes longer than expected is not cut short', () => {
  assert.ok(studentSeconds({ left: 100, round: 6.5, beside: 1, spare: 0.05 }) > 30);
});
