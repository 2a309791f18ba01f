import assert from 'node:assert/strict';
import { test } from 'node:test';
import { epochOrder } from './order.js';

test('class-balanced epochs', () => {
  const labels = [...new Array<number>(90).fill(0), ...new Array<number>(8).fill(1), 2, 2];
  const seen = new Set<number>();
  for (let epoch = 0; epoch < 6; epoch++) {
    const order = epochOrder(labels, epoch, { seed: 1, shuffle: true, balance: true });
    assert.equal(order.length, 100);
    for (const label of [0, 1, 2])
      assert.ok([33, 34].includes(order.filter((index) => labels[index] === label).length));
    for (const index of order) seen.add(index);
  }
  assert.ok(seen.size > 85, `${seen.size} of 100 images seen in six epochs`);
  assert.deepEqual(epochOrder([1, 0, 1], 5, { seed: 1, shuffle: false }), [0, 1, 2]);
});
