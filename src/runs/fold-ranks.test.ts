import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { cp, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { lastMeta } from '../artifact/checkpoint.js';
import { runFiles } from '../artifact/run-files.js';
import { ranksInMemory } from '../parallel/memory.js';
import { createRanks } from '../parallel/ranks.js';
import { blobs, blobTraining } from '../testing/blobs.js';
import { temporaryFolder } from '../testing/image-files.js';
import { assertClose, lossesOf } from '../testing/ranks-training.js';
import type { FitPosition } from '../train/events.js';
import type { TrainRequest } from './values.js';
import { trainAs } from './train.js';

/** Cross-validation by several ranks, stopped in the middle of a fold's epoch. */

/** 12 of 18 labels to learn from in each fold: two steps an epoch. */
const images = blobs({ train: 9 });
const training = { ...blobTraining, batchSize: 6, bn: 'frozen', engine: 'ort', folds: 3, epochs: 3 } as const;
const machine = { threads: 1, workers: 0 } as const;

/** One training of ranks that share nothing but what they exchange; `stop`: in this fold, asked for after this step. */
async function trainTogether(
  size: number,
  told: TrainRequest,
  stop?: { readonly fold: number; readonly step: number },
): Promise<PromiseSettledResult<unknown>[]> {
  const asked = new AbortController();
  return Promise.allSettled(
    ranksInMemory(size).map(async (communicator) => {
      const { signal } = asked;
      const ranks = createRanks(communicator, { pulse: 0.2, signal });
      const events = trainAs('train', images, { ...told, signal }, { ranks });
      let phase = '';
      for (let next = await events.next(); !next.done; next = await events.next()) {
        const event = next.value;
        if (event.type === 'phase' && event.training) phase = event.training.name;
        if (ranks.leads && event.type === 'step' && event.step === stop?.step && phase === `fold ${stop.fold} of 3`)
          asked.abort();
      }
    }),
  );
}

const outcomes = (settled: readonly PromiseSettledResult<unknown>[]): string[] =>
  settled.map((one) => (one.status === 'fulfilled' ? 'done' : String((one.reason as { code?: unknown }).code)));

test('ranks stopped within an epoch of a fold go on to the same bits, and with other numbers of ranks', async (t) => {
  const root = await temporaryFolder(t);
  const at = (name: string): string => join(root, name);
  assert.deepEqual(outcomes(await trainTogether(2, { ...training, out: at('whole') })), ['done', 'done']);
  const stopped = await trainTogether(2, { ...training, out: at('2') }, { fold: 2, step: 2 });
  assert.deepEqual(outcomes(stopped), ['interrupted', 'interrupted']);

  const checkpoints = join(at('2'), 'checkpoints');
  assert.deepEqual(await readdir(checkpoints), ['fold-2'], 'one fold is done, the others have not begun');
  assert.equal((await runFiles.folds.read(at('2')))!.length, 1);
  const { fit } = (await lastMeta(join(checkpoints, 'fold-2'))) as { readonly fit: FitPosition };
  assert.deepEqual([fit.epoch, fit.stepInEpoch, fit.step, fit.finished], [1, 1, 3, false], 'one of two steps');

  for (const size of [1, 3]) await cp(at('2'), at(String(size)), { recursive: true });
  for (const size of [2, 1, 3]) {
    const resumed = await trainTogether(size, { resume: at(String(size)), ...machine });
    assert.deepEqual(outcomes(resumed), new Array(size).fill('done'));
    assert.ok(!existsSync(join(at(String(size)), 'checkpoints/fold-2')));
  }
  const same = async (name: string): Promise<void> =>
    assert.ok((await readFile(join(at('2'), name))).equals(await readFile(join(at('whole'), name))), name);
  await same('model.onnx');
  await same('folds.json');
  const foldsOf = async (run: string): Promise<number[]> => ((await runFiles.folds.read(run)) ?? []).flatMap((x) => x!);
  assert.deepEqual(lossesOf(at('2')), lossesOf(at('whole')));
  for (const size of [1, 3]) {
    assertClose(await foldsOf(at(String(size))), await foldsOf(at('whole')), 1e-4);
    assertClose(lossesOf(at(String(size))), lossesOf(at('whole')), 1e-5);
  }
});
