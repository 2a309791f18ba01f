import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PupilError } from '../errors.js';
import { float32 } from '../tensor.js';
import { inBuckets } from './buckets.js';
import type { Communicator } from './communicator.js';
import { ranksInMemory } from './memory.js';
import { createRanks, type Ranks, type RanksOptions } from './ranks.js';

/** What each of several ranks makes of the same work. */
const together = <T>(
  size: number,
  work: (ranks: Ranks) => Promise<T>,
  options: (rank: number) => RanksOptions = () => ({}),
): Promise<PromiseSettledResult<T>[]> =>
  Promise.allSettled(
    ranksInMemory(size).map((communicator) => work(createRanks(communicator, options(communicator.rank)))),
  );

const values = <T>(settled: readonly PromiseSettledResult<T>[]): T[] =>
  settled.map((one) => {
    if (one.status === 'rejected') throw one.reason;
    return one.value;
  });

const reasons = (settled: readonly PromiseSettledResult<unknown>[]): unknown[] =>
  settled.map((one) => (one.status === 'rejected' ? one.reason : undefined));

test('ranks sum, share and wait for one another, whoever comes first', async () => {
  const results = values(
    await together(3, async (ranks) => {
      // The later a rank, the longer it works between exchanges.
      for (let i = 0; i < ranks.rank; i++) await new Promise(setImmediate);
      const numbers = [Float32Array.of(ranks.rank, 1), Float32Array.of(10 * ranks.rank)];
      await ranks.sum(numbers);
      const said = await ranks.share(ranks.leads ? { epoch: 3, name: 'β' } : undefined);
      const mine = new Map([['weight', float32([2], Float32Array.of(ranks.rank, 5))]]);
      const shared = await ranks.shareTensors(mine);
      assert.equal(mine.get('weight')!.data[0], ranks.rank, 'what was given stays as it is');
      await ranks.end();
      return [numbers.map((one) => [...one]), said, [...(shared.get('weight')!.data as Float32Array)]];
    }),
  );
  assert.deepEqual(results, Array(3).fill([[[3, 3], [30]], { epoch: 3, name: 'β' }, [0, 5]]));
});

test('a rank at work tells the others so, who wait', async () => {
  let pulses = 0;
  let worked: () => void = assert.fail;
  const work = new Promise<void>((resolve) => (worked = resolve));
  const communicators = ranksInMemory(2).map((one): Communicator => ({
    ...one,
    async allReduce(values) {
      await one.allReduce(values);
      if (one.rank === 0 && ++pulses === 10) worked();
    },
  }));
  const results = await Promise.all(
    communicators.map(async (communicator) => {
      const ranks = createRanks(communicator, { pulse: 0.01 });
      if (ranks.leads) await work;
      const said = await ranks.share(ranks.rank);
      await ranks.end();
      return said;
    }),
  );
  assert.deepEqual(results, [0, 0]);
});

test('the error of any rank ends all of them, with its place', async () => {
  const settled = await together(3, async (ranks) => {
    if (ranks.rank !== 2) return ranks.sum([new Float32Array(1)]);
    return ranks.fail(new PupilError('bad-data', 'no images', { option: 'data' }));
  });
  for (const reason of reasons(settled)) {
    assert.ok(reason instanceof PupilError);
    assert.deepEqual(
      [reason.code, reason.message, reason.option],
      ['bad-data', 'rank 2 (process 2): no images', 'data'],
    );
  }
});

test('of several errors that of the first rank ends all; a bug stays a bug', async () => {
  const bug = new TypeError('x is not a function');
  const settled = await together(3, (ranks) => ranks.fail(ranks.leads ? bug : new PupilError('usage', 'other')));
  assert.equal(reasons(settled)[0], bug);
  for (const reason of reasons(settled).slice(1)) {
    assert.ok(reason instanceof Error && !(reason instanceof PupilError));
    assert.equal(reason.message, bug.message);
  }
});

test('an error reaches ranks that are at work through their signal', async () => {
  const settled = await together(
    2,
    async (ranks) => {
      if (ranks.leads) return ranks.fail(new PupilError('io', 'the disk is full'));
      await new Promise((resolve) => ranks.signal.addEventListener('abort', resolve));
      return ranks.fail(new PupilError('interrupted', 'stopped'));
    },
    () => ({ pulse: 0.05 }),
  );
  for (const reason of reasons(settled)) assert.match(String(reason), /the disk is full/);
});

test('a part that a rank leaves ends on all with its error; they work on together', async () => {
  const results = values(
    await together(3, async (ranks) => {
      const errors: string[] = [];
      for (const leaver of [2, 0]) {
        const part = ranks.part();
        await part.sum([new Float32Array(1)]);
        try {
          if (ranks.rank === leaver) throw new PupilError('diverged', `by ${leaver}`);
          await part.sum([new Float32Array(1)]);
          assert.fail('nothing is exchanged with a rank that left');
        } catch (error) {
          await part.fail(error).catch((common: unknown) => {
            assert.ok(common instanceof PupilError && common.code === 'diverged');
            errors.push(common.message);
          });
        }
        await assert.rejects(part.share(1), { code: 'diverged' }, 'this part is over');
      }
      const part = ranks.part();
      const said = await part.share(ranks.rank);
      await part.end();
      await ranks.end();
      return [...errors, said];
    }),
  );
  assert.deepEqual(results, Array(3).fill(['rank 2 (process 2): by 2', 'by 0', 0]));
});

test('a rank that is lost, or fails for good, ends a part too', async () => {
  const settled = await together(2, async (ranks) => {
    const part = ranks.part();
    if (!ranks.leads) return ranks.fail(new PupilError('io', 'the disk is full'));
    return part.share(1).catch((error: unknown) => part.fail(error));
  });
  for (const reason of reasons(settled)) assert.match(String(reason), /the disk is full/);
});

test('told to stop, all ranks find it at the same exchange', async () => {
  const stop = new AbortController();
  const results = values(
    await together(
      3,
      async (ranks) => {
        let exchanges = 0;
        while (!ranks.isStopped) {
          if (ranks.rank === 1 && exchanges === 4) stop.abort();
          await ranks.sum([new Float32Array(1)]);
          exchanges++;
        }
        await ranks.end();
        return exchanges;
      },
      (rank) => (rank === 1 ? { signal: stop.signal } : {}),
    ),
  );
  assert.deepEqual(results, [5, 5, 5]);
});

test('a lost rank ends the others: they say so, then end the processes', async () => {
  const aborted: number[] = [];
  const communicators = ranksInMemory(3).map((one): Communicator => ({
    ...one,
    abort: () => void aborted.push(one.rank),
  }));
  // Rank 1 never comes.
  const ranks = [communicators[0]!, communicators[2]!].map((one) => createRanks(one, { patience: 0.2, grace: 0 }));
  const settled = await Promise.allSettled(ranks.map((one) => one.share('a')));
  for (const reason of reasons(settled)) {
    assert.ok(reason instanceof PupilError);
    assert.equal(reason.code, 'crashed');
    assert.match(reason.message, /exchange between 3 ranks timed out.*0\.2 s/);
  }
  while (aborted.length < 2) await new Promise(setImmediate);
  assert.deepEqual(
    aborted.sort((a, b) => a - b),
    [0, 2],
  );
  await assert.rejects(ranks[0]!.sum([new Float32Array(1)]), /timed out/, 'nothing is exchanged any more');
});

test('buckets: many small arrays together, large ones in pieces', async () => {
  const arrays = [1, 5, 0, 12, 2].map((length, k) => Float32Array.from({ length }, (_, i) => 100 * k + i));
  const expected = arrays.map((array) => array.map((value) => value + 0.5));
  const sizes: number[] = [];
  await inBuckets(
    arrays,
    async (bucket) => {
      sizes.push(bucket.length);
      await Promise.resolve();
      for (let i = 0; i < bucket.length; i++) bucket[i] = bucket[i]! + 0.5;
    },
    { most: 8, large: 6 },
  );
  assert.deepEqual(sizes, [8, 4, 8], 'one in pieces, then the others together');
  assert.deepEqual(arrays, expected);
  await inBuckets([], () => assert.fail('nothing to change'));
  await inBuckets([new Float32Array(0)], () => assert.fail('nothing to change'));
});
