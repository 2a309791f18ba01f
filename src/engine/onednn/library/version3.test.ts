import assert from 'node:assert/strict';
import { test } from 'node:test';
import { testRows } from '../../../testing/engine-rows.js';
import { testNetworks } from '../../../testing/networks.js';
import { dnnl3, withoutDnnl3 } from '../../../testing/onednn.js';
import { createDnnlEngine } from '../index.js';

/** All that the engine computes, by the 3.x interface of the library. */

const skip = withoutDnnl3;
if (!skip) process.env['PUPIL_ONEDNN'] = dnnl3;

testRows(() => createDnnlEngine({ threads: 1 }), { elsewhere: new Set(['NonZero']), skip });
testNetworks('', [() => createDnnlEngine({ threads: 2 })], { skip });

test('the library is of version 3', { skip }, async () => {
  const engine = await createDnnlEngine({ threads: 1 });
  assert.match(engine.description, /^oneDNN 3\./);
  await engine.close();
});
