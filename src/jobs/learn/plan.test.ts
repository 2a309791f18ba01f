import assert from 'node:assert/strict';
import { test } from 'node:test';
import { secondsOfConsensus } from '../../runs/expected.js';
import type { Backbone } from '../../runs/consult.js';
import { noteOnTeachers, unlabelledWithin } from './plan.js';
import { studentSeconds } from './rounds.js';

test('so many unlabelled images take part as a round has time for', () => {
  const within = (left: number, reported = 0): number =>
    unlabelledWithin(left, 50, { image: 0.01, look: 0.01 / 3, start: 1, classes: 5, reported });
  assert.equal(within(Infinity), Infinity);
  assert.ok(within(600) > 2 * within(280) && within(600, 1000) < within(600));
});

test('further networks are named, and take time in each consensus', () => {
  const counts = { labelled: 100, unlabelled: 900 },
    pace = { image: 0.03, look: 0.01, start: 2 };
  const alone = secondsOfConsensus(counts, 5, pace);
  const two = secondsOfConsensus(counts, 5, { ...pace, further: { networks: 2, look: 0.04 } });
  assert.ok(two > alone + 40 && two < alone + 42, 'their features, and more fits');
  assert.ok(
    unlabelledWithin(280, 50, { ...pace, further: { networks: 1, look: 0.04 }, classes: 5, reported: 0 }) <
      unlabelledWithin(280, 50, { ...pace, classes: 5, reported: 0 }) / 2,
  );
  assert.deepEqual(noteOnTeachers([]), []);
  const [line] = noteOnTeachers([{ name: 'a.onnx' }, { name: 'b.onnx' }] as unknown as Backbone[]);
  assert.match(line!, /^teachers {3}a\.onnx, b\.onnx: of these only features count/);
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
