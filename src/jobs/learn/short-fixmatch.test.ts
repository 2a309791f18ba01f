/** From scratch few steps of FixMatch do not replace labels alone where held-out labels cannot tell the two apart. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { blobs, blobTraining as shared } from '../../testing/blobs.js';
import { busyClock } from '../../testing/busy-clock.js';
import { temporaryFolder } from '../../testing/image-files.js';
import { collect, useOwnCache } from '../../testing/kit.js';
import { learn } from './learn.js';

useOwnCache();

test('from scratch FixMatch with few of its usual steps has to be better beyond the interval', async (t) => {
  const out = join(await temporaryFolder(t), 'run');
  const pass = busyClock(t);
  let phase = '';
  const options = { ...shared, labelsPerClass: 20, epochs: 10, minutes: 10, out };
  const { result } = await collect(learn(blobs({ train: 60, test: 8 }), options), (event) => {
    if (event.type === 'phase') phase = event.name;
    if (event.type === 'step' && phase.startsWith('fixmatch')) pass(150);
  });
  const { kept, gain, reason } = result.rungs.find((rung) => rung.name === 'fixmatch')!;
  // Labels alone are right on all of these blobs, or nearly.
  assert.ok(gain!.mean <= gain!.interval!);
  assert.equal(kept, false);
  assert.match(reason!, /^had time for [\d.]+% of its usual steps, and not better beyond the interval: /);
});
