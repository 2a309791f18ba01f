import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createClock, until } from './clock.js';

test('a clock counts what earlier sessions used once, and corrects what is expected', () => {
  let now = 0;
  // They used 35 s, 15 of them for work that they finished.
  const clock = createClock(100, () => now, { earlier: 20 });
  assert.deepEqual([clock.used(), clock.left(), clock.isOver(), clock.expected(10)], [20, 80, false, 10]);
  now = 1;
  clock.replayed(15);
  assert.deepEqual([clock.used(), clock.left()], [36, 64]);
  // Expected to take 10 seconds, it took 20, some of them before. The estimate counts as 30 seconds that were right.
  now = 6;
  clock.done({ expected: 10, took: 20 });
  assert.deepEqual([clock.used(), clock.left(), clock.expected(10)], [41, 59, 12.5]);
  now = 65;
  assert.deepEqual([clock.left(), clock.isOver()], [0, false]);
  now = 71;
  assert.equal(clock.isOver(), true, 'more than 5% over');
  assert.equal(clock.isOver({ isNearlyDone: true }), false);
  now = 76;
  assert.equal(clock.isOver({ isNearlyDone: true }), true, 'more than 10% over');
  assert.equal(createClock(Infinity, () => now).isOver(), false);
  const ending = createClock(100, () => now, { closing: 5 });
  assert.deepEqual([ending.left(), ending.used()], [19, 76], 'the end needs some of what is left');
});

test('work is left when the time is up, and closed as if its loop was left', async () => {
  const told: string[] = [];
  async function* work(): AsyncGenerator<number, string, undefined> {
    try {
      for (let i = 0; i < 3; i++) yield i;
      return 'done';
    } finally {
      told.push('closed');
    }
  }
  const run = async (most: number): Promise<readonly [string | undefined, number]> => {
    let seen = 0;
    const events = until(() => seen >= most, work());
    for (;;) {
      const { done, value } = await events.next();
      if (done) return [value, seen];
      seen++;
    }
  };
  assert.deepEqual(await run(2), [undefined, 2]);
  assert.deepEqual(await run(9), ['done', 3]);
  assert.deepEqual(told, ['closed', 'closed']);
});
