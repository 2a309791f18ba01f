import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Rung } from '../artifact/formats.js';
import { Course } from './course.js';

const plan = {
  rungs: [
    { name: 'probe', expectedSeconds: 10 },
    { name: 'consensus', expectedSeconds: 20 },
    { name: 'rounds', expectedSeconds: 300 },
    { name: 'distillation', expectedSeconds: 50, skip: 'no student was named' },
    { name: 'smaller', expectedSeconds: 100 },
  ],
};
const rung = (name: string, seconds: number): Rung => ({ name, seconds, kept: true });

test('a ladder takes what its plan expects of the rungs that are left, and no more than it was given', () => {
  const course = new Course(100);
  const climb = (tried: readonly Rung[], budget: number, used: number, now: number): number => {
    course.climb({ plan, tried, budget, used }, tried.length > 0, now);
    return Math.round(course.left(now)!);
  };
  assert.equal(climb([], Infinity, 0, 100), 430);
  assert.equal(course.left(105), 425);
  assert.equal(course.done(105), 5 / 430);
  // What takes longer than expected takes nothing from what follows, as long as it runs.
  assert.equal(climb([rung('probe', 30)], Infinity, 0, 130), 420);
  assert.equal(climb([rung('probe', 30), rung('consensus', 20), rung('round 1', 120)], Infinity, 0, 270), 280);
  // Of 240 s, 170 are gone.
  assert.equal(climb([rung('probe', 30), rung('consensus', 20), rung('round 1', 120)], 240, 0, 270), 70);
  assert.equal(course.left(400), 0);
  // An earlier session took 200.
  assert.equal(climb([rung('probe', 30), rung('consensus', 20)], 600, 200, 280), 220);
});

test('a training that is gone on with is timed by what this session does, through folds and parts', () => {
  const course = new Course(0);
  assert.equal(course.left(5), undefined);
  // The third of four trainings goes on in the middle of the second half of its epochs.
  course.hear({ type: 'training', index: 2, count: 4 }, 10);
  course.hear({ type: 'part', before: 5, all: 10 }, 10);
  course.hear({ type: 'steps', done: 50, total: 100, epochs: 5 }, 10);
  assert.equal(course.done(10), (2 + 0.75) / 4);
  assert.equal(course.left(11), undefined);
  course.hear({ type: 'steps', done: 100, total: 100 }, 20);
  // A sixteenth of all work took 10 s; a quarter is left.
  assert.equal(Math.round(course.left(20)!), 40);
  // What begins has done nothing yet.
  course.hear({ type: 'training', index: 3, count: 4 }, 22);
  assert.equal(course.done(22), 0.75);
  course.hear({ type: 'part', before: 0, all: 10 }, 22);
  course.hear({ type: 'steps', done: 0, total: 100, epochs: 5 }, 22);
  course.hear({ type: 'steps', done: 100, total: 100 }, 40);
  assert.equal(course.done(40), 0.875);
});
