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
