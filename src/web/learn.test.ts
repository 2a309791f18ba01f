import assert from 'node:assert/strict';
import { test } from 'node:test';
import { wilson } from '../evaluate/metrics.js';
import { draw, learnInNode, settings } from '../testing/web-training.js';

test('a frozen network learns which images are of no class, where there are enough labels', async () => {
  const probe = { ...settings, mode: 'probe' } as const;
  const many = await learnInNode(draw(60), probe);
  assert.ok(many.model.rejection!.threshold > 0);
  assert.deepEqual(many.model.rejection!.means.dims, [many.model.head!.featureCount, 2]);
  assert.equal((await learnInNode(draw(60), { ...probe, rejection: false })).model.rejection, undefined);
  assert.equal((await learnInNode(draw(16), probe)).model.rejection, undefined);
});

test('copies of an image are held out together, a class with one content is not measured', async () => {
  const probe = { ...settings, mode: 'probe' } as const;
  const two = draw(2);
  assert.equal((await learnInNode([...two, ...two, ...two], probe)).heldOut, undefined);
  const dark = draw(16).filter(({ label }) => label === 0);
  const { heldOut } = await learnInNode([...dark, ...dark, two[1]!], probe);
  assert.equal(heldOut?.count, 16);
  // Each is there twice: the interval is that of eight.
  assert.deepEqual([heldOut.low, heldOut.high], wilson(heldOut.top1, 8));
});
