import assert from 'node:assert/strict';
import { test } from 'node:test';
import { measuresOn } from './estimate.js';
import { secondsOfTraining } from './expected.js';
import { resolveSettings } from './resolve.js';

const measured = { image: 0.03, look: 0.01, start: 2 };

test('a training takes its epochs once for each image, folds as long as what they are trained on', () => {
  const settings = resolveSettings(undefined, { mode: 'scratch', epochs: 10 });
  const alone = secondsOfTraining(settings, { labelled: 100, unlabelled: 0, trainings: 1 }, 2, measured);
  assert.ok(Math.abs(alone - (2 + 10 * 100 * 0.03)) < 1e-9, `${alone}`);
  // Five folds of 80 images each are four passes, and the last training is one.
  const folded = secondsOfTraining(settings, { labelled: 100, unlabelled: 0, trainings: 6 }, 2, measured);
  assert.ok(Math.abs(folded - (6 * 2 + 5 * 10 * 100 * 0.03)) < 1e-9, `${folded}`);
});

test('what only looks at images takes a third of a step for each; minutes that are given are kept to', () => {
  const work = { labelled: 100, unlabelled: 900, trainings: 6 };
  const probe = secondsOfTraining(resolveSettings(undefined, { mode: 'probe' }), work, 2, measured);
  assert.ok(Math.abs(probe - (2 + 100 * 0.01)) < 1e-9, `${probe}`);
  const consensus = secondsOfTraining(resolveSettings(undefined, { mode: 'consensus' }), work, 2, measured);
  assert.ok(consensus > 2 + 1000 * 0.01 && consensus < 20, `${consensus}`);
  const brief = resolveSettings(undefined, { mode: 'finetune', epochs: 100, minutes: 1 });
  assert.ok(secondsOfTraining(brief, work, 2, measured) < 60 + probe + 6 * 2 + 1e-9);
});

test('steps that take seconds each are not measured three times', () => {
  // Counts the steps that are run where each takes so long.
  const stepsOf = (seconds: number): number => {
    let done = 0;
    while (measuresOn(done, done * seconds)) done++;
    return done;
  };
  assert.deepEqual([0.001, 0.05, 0.7, 1.6, 5].map(stepsOf), [60, 10, 3, 2, 1]);
});
