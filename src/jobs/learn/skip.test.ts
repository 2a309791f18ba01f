import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { runFiles } from '../../artifact/run-files.js';
import { openRun } from '../../artifact/run.js';
import { blobTraining } from '../../testing/blobs.js';
import { noisePng, temporaryFolder, writeTree } from '../../testing/image-files.js';
import { refused, useOwnCache } from '../../testing/kit.js';
import { learn } from './learn.js';

useOwnCache();

test('trainings within learn keep to its `skip` where images turn out damaged when they are decoded', async (t) => {
  const folder = await temporaryFolder(t);
  const data = join(folder, 'data');
  await writeTree(
    data,
    Object.fromEntries(
      ['a', 'b'].flatMap((label, l) =>
        Array.from({ length: 8 }, (_, i) => [`${label}/${i}.png`, 100 * l + i] as const),
      ),
    ),
  );
  // Their headers are whole: opening the folder does not see it.
  for (const [i, label] of ['a', 'b'].entries())
    await writeTree(data, { [`${label}/cut.png`]: (await noisePng(900 + i, 96, 96)).subarray(0, 9000) });
  const climb = (skip: number): ReturnType<typeof learn> =>
    learn(data, {
      ...blobTraining,
      epochs: 1,
      folds: 2,
      rungs: ['supervised'],
      skip,
      out: join(folder, `run-${skip}`),
    });
  await assert.rejects(
    async () => await climb(1),
    refused('bad-data', /2 files or images cannot be read, more than `skip: 1`: .*cut\.png/),
  );
  const { run, rungs } = await climb(2);
  assert.deepEqual(
    rungs.map(({ kept }) => kept),
    [true],
  );
  const { config } = await openRun(join(run, 'rungs/supervised'));
  assert.equal((config.settings as { readonly skip?: number }).skip, 2);
  const learned = (await runFiles.learned.read(run))!;
  assert.equal(learned.labelled.length, 16, 'all but the damaged ones');
});
