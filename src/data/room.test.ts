import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import { test } from 'node:test';
import { Random } from '../random.js';
import { createRoom, roomLimit, withRoom } from './room.js';

test('pictures under way take at most the limit together, and one above it is alone', async () => {
  const random = new Random(1, 'room');
  const room = createRoom();
  let taken = 0,
    count = 0,
    most = 0,
    done = 0;
  const picture = async (size: number): Promise<void> =>
    withRoom(room, size * 1024, async () => {
      taken += size;
      count++;
      most = Math.max(most, taken);
      assert.ok(taken <= roomLimit || count === 1, `${count} pictures take ${taken} KiB`);
      await sleep(random.integer(4));
      taken -= size;
      count--;
      done++;
    });
  const sizes = Array.from({ length: 200 }, () => random.integer(roomLimit / (random.integer(4) === 0 ? 0.5 : 8)));
  await Promise.all(sizes.map(picture));
  await assert.rejects(
    withRoom(room, 5000, () => Promise.reject(new Error('damaged'))),
    /damaged/,
  );
  assert.equal(done, 200);
  assert.ok(most > roomLimit / 2);
  assert.equal(Atomics.load(room, 0), 0);
});

test('a picture that had all room keeps as much as it takes, and others get the rest', async () => {
  const room = createRoom();
  const steps: string[] = [];
  const large = withRoom(room, roomLimit * 1024, async ({ resize }) => {
    steps.push('read');
    await sleep(10);
    await resize(10_000 * 1024);
    steps.push('header');
    await sleep(10);
    await resize(2 * roomLimit * 1024);
    steps.push(`alone ${Atomics.load(room, 0) / roomLimit}`);
  });
  const small = withRoom(room, 1024, async () => {
    steps.push('another');
    await sleep(30);
    steps.push('its end');
  });
  await Promise.all([large, small]);
  assert.deepEqual(steps, ['read', 'header', 'another', 'its end', 'alone 2']);
  assert.equal(Atomics.load(room, 0), 0);
});
