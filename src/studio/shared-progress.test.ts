import assert from 'node:assert/strict';
import { test } from 'node:test';
import { shareProgress, watchProgress } from './shared-progress.js';

test('how far a thread is, is told from its first word to the last item', (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const told: string[] = [];
  const { memory, stop } = watchProgress((done, total) => told.push(`${done} of ${total}`));
  t.mock.timers.tick(1000);
  assert.deepEqual(told, []);
  for (const done of [0, 199, 200]) {
    shareProgress(memory, done, 200);
    t.mock.timers.tick(300);
  }
  stop();
  t.mock.timers.tick(1000);
  assert.deepEqual(told, ['0 of 200', '199 of 200', '200 of 200']);
});
