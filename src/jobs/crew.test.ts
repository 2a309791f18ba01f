import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { withSamples } from '../data/dataset.js';
import type { Dataset } from '../data/sample.js';
import { PupilError } from '../errors.js';
import { ranksInMemory } from '../parallel/memory.js';
import { createRanks, type Ranks } from '../parallel/ranks.js';
import type { TrainResult } from '../runs/events.js';
import type { TrainOptions } from '../runs/resolve.js';
import { poolFor } from '../runs/train.js';
import { blobs, blobTraining } from '../testing/blobs.js';
import { temporaryFolder } from '../testing/image-files.js';
import { assertClose, lossesOf } from '../testing/ranks-training.js';
import { announceChain, inCrew, refuseUndivided, trainInCrew, type Crew } from './crew.js';

const options = { ...blobTraining, bn: 'frozen', engine: 'ort', epochs: 2 } as const;
const images = blobs({ train: 8, val: 4 });
/** As a chain divides them: other splits, and other images first. */
const part = withSamples(
  images,
  images.samples
    .map((sample, i) => (i % 5 === 0 && sample.split === 'train' ? { ...sample, split: 'val' as const } : sample))
    .reverse(),
);

/** What the first rank does with the others; what they end with. */
async function together<T>(
  size: number,
  run: string,
  lead: (crew: Crew) => Promise<T>,
  imagesOf: (rank: number) => Dataset = () => images,
): Promise<PromiseSettledResult<unknown>[]> {
  await mkdir(run);
  await writeFile(join(run, 'run.json'), '{}');
  const work = async (ranks: Ranks): Promise<unknown> => {
    try {
      let result: unknown;
      if (ranks.leads) {
        const crew = { ranks, images };
        await announceChain(crew, {}, run);
        result = await lead(crew);
        await inCrew.end(ranks, result);
      } else {
        const following = inCrew.follow<T>(ranks, imagesOf(ranks.rank), { workers: 0, threads: 1 });
        let next = await following.next();
        while (!next.done) next = await following.next();
        result = next.value;
      }
      await ranks.end();
      return result;
    } catch (error) {
      return await ranks.fail(error);
    }
  };
  return Promise.allSettled(ranksInMemory(size).map((one) => work(createRanks(one, { pulse: 0.2 }))));
}

/** A training of a crew; undefined where it was left after so many steps. */
async function trainPart(
  t: TestContext,
  crew: Crew | undefined,
  told: TrainOptions,
  leaveAfter = Infinity,
): Promise<TrainResult | undefined> {
  const pool = poolFor({ workers: 0 });
  t.after(() => pool.close());
  const events = trainInCrew(crew, part, { mode: told.mode, told, pool });
  let steps = 0,
    next = await events.next();
  while (!next.done) {
    if (next.value.type === 'step' && ++steps === leaveAfter) {
      await events.return(undefined as never);
      return undefined;
    }
    next = await events.next();
  }
  return next.value;
}

test('ranks train what the first orders; what it leaves, or what diverges, ends that training only', async (t) => {
  const at = await temporaryFolder(t);
  const one = await trainPart(t, undefined, { ...options, out: join(at, 'one') });
  const settled = await together(2, join(at, 'run'), async (crew) => {
    assert.equal(await trainPart(t, crew, { ...options, out: join(at, 'left') }, 2), undefined);
    await assert.rejects(trainPart(t, crew, { ...options, lr: 1e30, out: join(at, 'diverged') }), { code: 'diverged' });
    await trainPart(t, crew, { ...options, out: join(at, 'two') });
    // What is solved in closed form the first does alone.
    const { run } = (await trainPart(t, crew, {
      model: join(at, 'two'),
      mode: 'probe',
      engine: 'ort',
      threads: 1,
      seed: 1,
      out: join(at, 'probe'),
    }))!;
    return { run };
  });
  assert.deepEqual(
    settled,
    [0, 1].map(() => ({ status: 'fulfilled', value: { run: join(at, 'probe') } })),
  );
  assert.equal(lossesOf(join(at, 'left')).length, 2, 'left after two steps');
  assertClose(lossesOf(join(at, 'two')), lossesOf(one!.run), 1e-4);
});

test('other images, and a run folder that only the first sees, end all', async (t) => {
  const at = await temporaryFolder(t);
  const others = await together(
    2,
    join(at, 'a'),
    ({ ranks }) => ranks.share('an order'),
    () => blobs({ train: 3 }),
  );
  for (const one of others)
    assert.match(String((one as PromiseRejectedResult).reason), /rank 1 .* holds other images here than for rank 0/);
  const unseen = await Promise.allSettled(
    ranksInMemory(2).map(async (one) => {
      const ranks = createRanks(one);
      try {
        if (!ranks.leads) return await inCrew.follow(ranks, images, { workers: 0 }).next();
        await announceChain({ ranks, images }, {}, join(at, 'nowhere'));
        return await ranks.share('an order');
      } catch (error) {
        return await ranks.fail(error);
      }
    }),
  );
  for (const one of unseen) {
    const { reason } = one as PromiseRejectedResult;
    assert.ok(reason instanceof PupilError && reason.code === 'not-found');
    assert.match(reason.message, /rank 1 .*: the run folder .*nowhere cannot be seen here: .*`out`/);
  }
});

test('trainings whose batches cannot be divided are refused before the first', () => {
  const ranks = { size: 3 } as Ranks;
  const batch = { ...options, batchSize: 8 };
  refuseUndivided({ ranks }, [
    { ...batch, mode: 'probe', model: 'model.onnx' },
    { ...batch, batchSize: 9 },
  ]);
  assert.throws(() => refuseUndivided({ ranks }, [batch]), {
    code: 'usage',
    message: /8 images cannot be cut in 3 equal parts.*use `batchSize: 6`, or start 2 ranks/,
  });
});
